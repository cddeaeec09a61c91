/* The verbs, each in the file of its name. */
#ifndef WEIR_CLI_VERBS_H
#define WEIR_CLI_VERBS_H

#include "cli/cli.h"

extern const struct cli_verb verb_audit;
extern const struct cli_verb verb_backup;
extern const struct cli_verb verb_diff;
extern const struct cli_verb verb_dlq;
extern const struct cli_verb verb_explain;
extern const struct cli_verb verb_gen;
extern const struct cli_verb verb_init;
extern const struct cli_verb verb_help;
extern const struct cli_verb verb_lag;
extern const struct cli_verb verb_lint;
extern const struct cli_verb verb_list;
extern const struct cli_verb verb_produce;
extern const struct cli_verb verb_reconcile;
extern const struct cli_verb verb_restore;
extern const struct cli_verb verb_run;
extern const struct cli_verb verb_tail;
extern const struct cli_verb verb_test;
extern const struct cli_verb verb_topic;
extern const struct cli_verb verb_trace;
extern const struct cli_verb verb_txn;
extern const struct cli_verb verb_validate;
extern const struct cli_verb verb_version;

#endif

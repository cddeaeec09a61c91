#include "base/broken.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    "offsets-first",  /* R is committed in a transaction before that of the rows */
    "rows-first",     /* R is committed in a transaction behind that of the rows */
    "no-replay",      /* a start does not rebuild the state */
    "no-cas",         /* R is written whoever owns it, at whatever epoch it is */
    "lost-kept",      /* state of a partition that was lost stays, wherever R stands */
    "no-owner",       /* a start takes over without a look at the old owner */
    "no-lock",        /* a start does not take the group's lock */
    "no-fsync",       /* SQLite syncs nothing */
    "no-part-fsync",  /* parts and snapshots get their names before their content is on the disk */
    "ready-first",    /* a part gets its name before its R is there */
    "snapshot-early", /* snapshots are of state that is not committed */
    "reject-dropped", /* rows that a table refuses have no dead letter */
    "letters-unbooked", /* rows whose dead letters another system writes are not booked as due */
    "letters-again",  /* R forgets which dead letters of other systems' refused rows it has taken */
    "effect-first",   /* what is prepared is committed before the other system has decided for it */
    "undecided-kept", /* a start commits whatever it finds prepared */
    "decided-anew",   /* the next decision is taken while the one before has not come to its effect */
    "replay-again",   /* a dead letter is replayed however often it was before */
    "purge-early",    /* keys are forgotten after half of their time */
    "fill-feeds",     /* a filled value fills others */
    "future-moves",   /* a time.future row moves the watermark */
    "batch-check",    /* the first row of a batch passes its checks */
    "dedup-null",     /* a null is a key like others */
    "late-registers", /* a late row registers its key */
    "crc-ignored",    /* the checksums of the log's batches are not looked at */
    "seal-ignored",   /* the checksums of R, segments and snapshots are not looked at */
};

/* Finds out once; threads that do so at the same time come to the same. */
static const char *chosen(void)
{
    static const char *_Atomic found;
    const char *name = found;
    if (name != NULL) {
        return name;
    }
    name = getenv("WEIR_BREAK");
    name = name == NULL ? "" : name;
    bool is_known = name[0] == '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !is_known; i++) {
        is_known = strcmp(names[i], name) == 0;
    }
    if (!is_known) {
        (void)fprintf(stderr, "weir: WEIR_BREAK=%s: no guarantee has that name\n", name);
        exit(2);
    }
    found = name;
    return name;
}

const char *broken_name(void)
{
    return chosen()[0] == '\0' ? "nothing" : chosen();
}

bool broken(const char *name)
{
    return strcmp(chosen(), name) == 0;
}

/*
 * Modules: shared objects with code of ours, loaded when they are needed and never let go. The
 * program exports its own functions to them.
 *
 * A module `weir-NAME.so` is looked for beside the program (the build tree), then in the folder that
 * the build was told (an installed weir), never along the library path of the environment.
 */
#ifndef WEIR_OS_MODULE_H
#define WEIR_OS_MODULE_H

#include "base/status.h"

/* Loads the module of that name and gives what its symbol stands for. `installed_folder` may be
 * NULL. CONFIG "module.missing" when there is none; CONFIG "module.broken" when it cannot be loaded
 * or lacks the symbol, with what the loader says. */
enum status module_load(const char *name, const char *installed_folder, const char *symbol,
                        const void **out, struct error *err) WEIR_MUST_USE;

#endif

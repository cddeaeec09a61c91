#include "os/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "…/weir-NAME.so" in the folder of the program; empty when the program's path is not known. */
static void path_beside(const char *name, char *out, size_t out_size)
{
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    out[0] = '\0';
    if (size <= 0) {
        return;
    }
    program[size] = '\0';
    char *slash = strrchr(program, '/');
    if (slash != NULL) {
        *slash = '\0';
        (void)snprintf(out, out_size, "%s/weir-%s.so", program, name);
    }
}

enum status module_load(const char *name, const char *installed_folder, const char *symbol,
                        const void **out, struct error *err)
{
    char path[PATH_MAX + 64];
    path_beside(name, path, sizeof path);
    if ((path[0] == '\0' || access(path, F_OK) != 0) && installed_folder != NULL) {
        (void)snprintf(path, sizeof path, "%s/weir-%s.so", installed_folder, name);
    }
    if (path[0] == '\0' || access(path, F_OK) != 0) {
        return error_set(err, STATUS_CONFIG, "module.missing",
                         "the module weir-%s.so is not there, neither beside the program nor in %s",
                         name, installed_folder == NULL ? "an installed place" : installed_folder);
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const void *found = handle == NULL ? NULL : dlsym(handle, symbol);
    if (found == NULL) {
        const char *reason = dlerror();
        return error_set(err, STATUS_CONFIG, "module.broken", "the module %s cannot be loaded: %s",
                         path, reason == NULL ? "no reason is known" : reason);
    }
    *out = found;
    return STATUS_OK;
}

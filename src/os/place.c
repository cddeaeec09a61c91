#include "os/place.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 40

static char *copy_real(struct arena *arena, const char *path)
{
    char *real = realpath(path, NULL);
    char *copy = real == NULL ? NULL : arena_copy_string(arena, real);
    free(real);
    return copy;
}

/* `path` with its folder resolved and its last component as it is written. */
static char *real_folder(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    char *folder = arena_printf(arena, "%.*s", (int)(name - path), path);
    char *real = copy_real(arena, folder[0] == '\0' ? "." : folder);
    if (real == NULL || name[0] == '\0') {
        return NULL;
    }
    return arena_printf(arena, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
}

char *place_real(struct arena *arena, const char *path)
{
    for (int links = 0; links < LINKS_MAX; links++) {
        char *place = real_folder(arena, path);
        char *real = place == NULL ? NULL : copy_real(arena, place);
        char target[PATH_MAX];
        if (place == NULL || real != NULL) {
            return real;
        }
        ssize_t size = readlink(place, target, sizeof target - 1);
        if (size < 0) {
            return place;
        }
        /* A link to what is not there yet. */
        target[size] = '\0';
        path = target[0] == '/'
                   ? arena_copy_string(arena, target)
                   : arena_printf(arena, "%.*s%s", (int)(strrchr(place, '/') + 1 - place), place,
                                  target);
    }
    return NULL;
}

bool place_is_same(const char *a, const char *b)
{
    struct stat x;
    struct stat y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

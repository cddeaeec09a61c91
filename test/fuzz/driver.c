/*
 * The plain driver: seeds from corpus/TARGET.txt (one a line, with \n, \t, \\ and \xNN) and from the
 * target, changed at random for some seconds. An input under which the program ends is printed in
 * the same spelling: put it into the corpus.
 *
 *     build/asan/test/fuzz/fuzz TARGET [SECONDS [SEED]]
 *     build/asan/test/fuzz/fuzz TARGET --input 'TEXT'
 *     build/asan/test/fuzz/fuzz TARGET --write FOLDER           the seeds, a file each
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "fuzz.h"
#include "os/clock.h"
#include "os/random.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum { SEEDS_MAX = 512, INPUT_MAX = 8192 };

static struct buffer seeds[SEEDS_MAX];
static size_t seed_count;
static const uint8_t *current;
static size_t current_size;

static void print_current(void)
{
    (void)fprintf(stderr, "\nthe input: '");
    for (size_t i = 0; i < current_size; i++) {
        uint8_t byte = current[i];
        if (byte == '\n') {
            (void)fprintf(stderr, "\\n");
        } else if (byte == '\\') {
            (void)fprintf(stderr, "\\\\");
        } else if (byte < 0x20 || byte >= 0x7f || byte == '\'') {
            (void)fprintf(stderr, "\\x%02x", byte);
        } else {
            (void)fputc(byte, stderr);
        }
    }
    (void)fprintf(stderr, "'\n");
}

static void on_signal(int number)
{
    print_current();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void unescape(const char *line, struct buffer *out)
{
    for (const char *at = line; *at != '\0' && *at != '\n'; at++) {
        unsigned byte = (uint8_t)*at;
        if (*at == '\\' && at[1] != '\0') {
            at++;
            byte = *at == 'n' ? '\n' : *at == 't' ? '\t' : (uint8_t)*at;
            if (*at == 'x' && sscanf(at + 1, "%2x", &byte) == 1) {
                at += 2;
            }
        }
        buffer_append_byte(out, (uint8_t)byte);
    }
}

static void load_seeds(const struct fuzz_target *target)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/test/fuzz/corpus/%s.txt", WEIR_SOURCE, target->name);
    FILE *file = fopen(path, "r");
    static char line[65536];
    while (file != NULL && seed_count < SEEDS_MAX && fgets(line, sizeof line, file) != NULL) {
        unescape(line, &seeds[seed_count++]);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    for (unsigned i = 0; target->seed != NULL && seed_count < SEEDS_MAX; i++) {
        if (!target->seed(i, &seeds[seed_count])) {
            break;
        }
        seed_count++;
    }
    if (seed_count == 0) {
        (void)fprintf(stderr, "no seeds for %s\n", target->name);
        exit(2);
    }
}

static void run(const struct fuzz_target *target, const struct buffer *input)
{
    uint8_t *exact = memory_alloc(input->size);
    if (input->size > 0) {
        memcpy(exact, input->data, input->size);
    }
    current = exact;
    current_size = input->size;
    target->run(exact, input->size);
    memory_free(exact);
}

/* Takes `cut` bytes at `at` out and puts others in. */
static void replace(struct buffer *input, size_t at, size_t cut, const uint8_t *with, size_t size)
{
    struct buffer result = {0};
    buffer_append(&result, input->data, at);
    buffer_append(&result, with, size);
    buffer_append(&result, input->data + at + cut, input->size - at - cut);
    buffer_fini(input);
    *input = result;
}

static void mutate(struct buffer *input, struct prng *prng)
{
    static const char tokens[] = "{}[]:,\"'\\\n-+.eE0123456789 \t#&*!|>%@`~$\0\x7f\x80\xff\xc3\xed";
    size_t at = (size_t)prng_below(prng, input->size + 1);
    size_t left = input->size - at;
    uint8_t byte = (uint8_t)prng_below(prng, 256);
    uint8_t token = (uint8_t)tokens[prng_below(prng, sizeof tokens - 1)];
    switch (prng_below(prng, 8)) {
    case 0:
        if (left > 0) {
            input->data[at] ^= (uint8_t)(1u << prng_below(prng, 8));
        }
        break;
    case 1:
        if (left > 0) {
            input->data[at] = prng_below(prng, 2) == 0 ? byte : token;
        }
        break;
    case 2:
        replace(input, at, 0, &token, 1);
        break;
    case 3:
        replace(input, at, (size_t)prng_below(prng, (left < 16 ? left : 16) + 1), NULL, 0);
        break;
    case 4: { /* a piece again, somewhere else */
        size_t from = (size_t)prng_below(prng, input->size + 1);
        size_t room = input->size - from;
        struct buffer piece = {0};
        buffer_append(&piece, input->data + from, (size_t)prng_below(prng, (room < 64 ? room : 64) + 1));
        replace(input, at, 0, piece.data, piece.size);
        buffer_fini(&piece);
        break;
    }
    case 5: { /* the end of another seed */
        const struct buffer *other = &seeds[prng_below(prng, seed_count)];
        size_t from = (size_t)prng_below(prng, other->size + 1);
        replace(input, at, left, other->data + from, other->size - from);
        break;
    }
    case 6: { /* a number at its limits, as 4 or 8 bytes */
        static const uint64_t numbers[] = {0, 1, 0x7f, 0x80, 0xffff, 0x7fffffff, 0x80000000, UINT32_MAX,
                                           INT64_MAX, UINT64_MAX};
        uint64_t number = numbers[prng_below(prng, 10)];
        size_t size = prng_below(prng, 2) == 0 ? 4 : 8;
        if (left >= size) {
            memcpy(input->data + at, &number, size);
        }
        break;
    }
    default:
        replace(input, at, left < 1 ? left : 1, (const uint8_t *)"99999999999999999999",
                (size_t)prng_below(prng, 20));
        break;
    }
    if (input->size > INPUT_MAX) {
        input->size = INPUT_MAX;
    }
}

static uint64_t fuzz(const struct fuzz_target *target, int64_t duration_us, uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed);
    uint64_t count = 0;
    for (; count < seed_count; count++) {
        run(target, &seeds[count]);
    }
    for (int64_t end_us = clock_monotonic_us() + duration_us; clock_monotonic_us() < end_us; count++) {
        const struct buffer *from = &seeds[prng_below(&prng, seed_count)];
        struct buffer input = {0};
        buffer_append(&input, from->data, from->size);
        for (uint64_t i = 1 + prng_below(&prng, 6); i > 0; i--) {
            mutate(&input, &prng);
        }
        run(target, &input);
        buffer_fini(&input);
    }
    return count;
}

static int write_seeds(const char *folder)
{
    for (size_t i = 0; i < seed_count; i++) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/seed-%03zu", folder, i);
        FILE *file = fopen(path, "wb");
        if (file == NULL || fwrite(seeds[i].data, 1, seeds[i].size, file) != seeds[i].size ||
            fclose(file) != 0) {
            perror(path);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct fuzz_target *target = argc > 1 ? fuzz_find(argv[1]) : NULL;
    if (target == NULL) {
        (void)fprintf(stderr, "usage: %s TARGET [SECONDS [SEED]] | TARGET --input TEXT\n", argv[0]);
        for (target = fuzz_targets; target->name != NULL; target++) {
            (void)fprintf(stderr, "  %s\n", target->name);
        }
        return 2;
    }
    (void)signal(SIGABRT, on_signal);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(print_current);
#else
    (void)signal(SIGSEGV, on_signal);
#endif
    if (argc == 4 && strcmp(argv[2], "--input") == 0) {
        struct buffer input = {0};
        unescape(argv[3], &input);
        run(target, &input);
        buffer_fini(&input);
        return 0;
    }
    if (argc == 4 && strcmp(argv[2], "--write") == 0) {
        load_seeds(target);
        return write_seeds(argv[3]);
    }
    double seconds = argc > 2 ? atof(argv[2]) : 5;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : random_u64() >> 32;
    load_seeds(target);
    printf("[ RUN      ] fuzz_%s\n", target->name);
    uint64_t count = fuzz(target, (int64_t)(seconds * 1e6), seed);
    printf("%s: %llu executions of %zu seeds in %.0f s, seed %llu\n[       OK ] fuzz_%s\n", target->name,
           (unsigned long long)count, seed_count, seconds, (unsigned long long)seed, target->name);
    for (size_t i = 0; i < seed_count; i++) {
        buffer_fini(&seeds[i]);
    }
    return 0;
}

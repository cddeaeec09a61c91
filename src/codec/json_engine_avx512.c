/* Compiled for processors with AVX-512 as Ice Lake and Zen 4 have it, whatever the rest of the program
 * is compiled for; json_engine_best() asks the processor before anything here runs. */
#ifdef __x86_64__

#define JSON_AVX512 "avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi2"
#ifdef __clang__
#pragma clang attribute push(__attribute__((target(JSON_AVX512))), apply_to = function)
#else
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi2")
#endif

#define JSON_ENGINE_AVX2
#define JSON_ENGINE_AVX512
#define JSON_ENGINE json_engine_avx512
#define JSON_ENGINE_NAME "avx512"
#include "codec/json_engine.inc"

#ifdef __clang__
#pragma clang attribute pop
#endif

#else

/* A source file must hold something. */
typedef int json_engine_avx512_is_for_x86_64;

#endif

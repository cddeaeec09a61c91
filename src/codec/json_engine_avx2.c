/* Compiled for processors with AVX2 whatever the rest of the program is compiled for;
 * json_engine_best() asks the processor before anything here runs. */
#ifdef __x86_64__

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC target("avx2,bmi,bmi2")
#endif

#define JSON_ENGINE_AVX2
#define JSON_ENGINE json_engine_avx2
#define JSON_ENGINE_NAME "avx2"
#include "codec/json_engine.inc"

#ifdef __clang__
#pragma clang attribute pop
#endif

#else

/* A source file must hold something. */
typedef int json_engine_avx2_is_for_x86_64;

#endif

#define JSON_ENGINE json_engine_portable
#define JSON_ENGINE_NAME "portable"
#include "codec/json_engine.inc"

// The only C++ of the project: simdjson has no other interface. Fields are asked for in the order in
// which they are written, which is the quickest that On-Demand can do.
#include "simdjson_reader.h"

#include <string_view>

#include <simdjson.h>

namespace {

constexpr uint32_t rows_max = 8192;

struct column_set {
    std::string_view message_id[rows_max];
    std::string_view sensor_id[rows_max];
    std::string_view event_time[rows_max];
    double temperature[rows_max];
    double humidity[rows_max];
    double pressure[rows_max];
    int64_t battery[rows_max];
    std::string_view site[rows_max];
    std::string_view internal_note[rows_max];
};

// Whether the field is there with that type.
template <typename T> bool take(simdjson::ondemand::object &object, const char *name, T &out)
{
    return object.find_field(name).get(out) == simdjson::SUCCESS;
}

// As take(), but it may be missing.
template <typename T> bool take_optional(simdjson::ondemand::object &object, const char *name, T &out)
{
    auto error = object.find_field(name).get(out);
    return error == simdjson::SUCCESS || error == simdjson::NO_SUCH_FIELD;
}

bool take_fields(simdjson::ondemand::object &object, column_set &to, uint32_t row)
{
    return take(object, "message_id", to.message_id[row]) &&
           take(object, "sensor_id", to.sensor_id[row]) &&
           take(object, "event_time", to.event_time[row]) &&
           take(object, "temperature", to.temperature[row]) &&
           take(object, "humidity", to.humidity[row]) &&
           take_optional(object, "pressure", to.pressure[row]) &&
           take_optional(object, "battery", to.battery[row]) &&
           take_optional(object, "site", to.site[row]) &&
           take_optional(object, "internal_note", to.internal_note[row]);
}

} // namespace

struct simdjson_reader {
    simdjson::ondemand::parser parser;
    column_set columns;
};

extern "C" struct simdjson_reader *simdjson_reader_new(void)
{
    return new simdjson_reader();
}

extern "C" void simdjson_reader_free(struct simdjson_reader *reader)
{
    delete reader;
}

extern "C" bool simdjson_reader_take(struct simdjson_reader *reader, const uint8_t *data, size_t size,
                                     uint32_t row)
{
    static_assert(simdjson::SIMDJSON_PADDING <= SIMDJSON_SLACK_BYTES);
    simdjson::padded_string_view json(data, size, size + SIMDJSON_SLACK_BYTES);
    simdjson::ondemand::document document;
    simdjson::ondemand::object object;
    return reader->parser.iterate(json).get(document) == simdjson::SUCCESS &&
           document.get_object().get(object) == simdjson::SUCCESS &&
           take_fields(object, reader->columns, row % rows_max);
}

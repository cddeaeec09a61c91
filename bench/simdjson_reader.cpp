// The only C++ of the project: simdjson has no other interface.
//
// It does what a decoder into columns does, and no more: each record is a document of its own, read
// where it lies, with padding behind it (no copy); the nine fields of the schema, with their types, go
// into columns of a batch, with a byte each that says whether the member is there. The fields are asked
// for in the order in which they are written, which is the quickest that On-Demand can do. A text is
// unescaped, as On-Demand's get_string() does, into a buffer that lasts as long as the batch; its own
// buffer lasts only until the next document, and columns of texts that are gone are of no use.
// On-Demand has checked UTF-8 and the structure; of the contract it judges nothing but that required
// fields are there, and it does not look for repeated keys.
#include "simdjson_reader.h"

#include <memory>
#include <string_view>

#include <simdjson.h>

namespace {

// As many as a batch of weir has (BATCH_ROWS_MAX).
constexpr uint32_t rows_max = 4096;
// All texts of a batch, many times over.
constexpr size_t texts_bytes = size_t{16} << 20;

template <typename T> struct column {
    T values[rows_max];
    uint8_t present[rows_max];
};
using text = std::string_view;

struct column_set {
    column<text> message_id, sensor_id, event_time;
    column<double> temperature, humidity, pressure;
    column<int64_t> battery;
    column<text> site, internal_note;
};

} // namespace

struct simdjson_reader {
    simdjson::ondemand::parser parser;
    column_set columns;
    std::unique_ptr<uint8_t[]> texts{new uint8_t[texts_bytes]};
    uint8_t *texts_end = texts.get();
};

namespace {

simdjson::error_code get(simdjson_reader &reader, simdjson::ondemand::object &object, const char *name,
                         text &out)
{
    simdjson::ondemand::raw_json_string raw;
    auto error = object.find_field(name).get_raw_json_string().get(raw);
    return error == simdjson::SUCCESS ? reader.parser.unescape(raw, reader.texts_end).get(out) : error;
}

template <typename T>
simdjson::error_code get(simdjson_reader &, simdjson::ondemand::object &object, const char *name, T &out)
{
    return object.find_field(name).get(out);
}

// Whether the field is there with that type.
template <typename T>
bool take(simdjson_reader &reader, simdjson::ondemand::object &object, const char *name, column<T> &to,
          uint32_t row)
{
    to.present[row] = 1;
    return get(reader, object, name, to.values[row]) == simdjson::SUCCESS;
}

// As take(), but it may be missing.
template <typename T>
bool take_optional(simdjson_reader &reader, simdjson::ondemand::object &object, const char *name,
                   column<T> &to, uint32_t row)
{
    auto error = get(reader, object, name, to.values[row]);
    to.present[row] = error == simdjson::SUCCESS;
    return error == simdjson::SUCCESS || error == simdjson::NO_SUCH_FIELD;
}

bool take_fields(simdjson_reader &reader, simdjson::ondemand::object &object, uint32_t row)
{
    column_set &to = reader.columns;
    return take(reader, object, "message_id", to.message_id, row) &&
           take(reader, object, "sensor_id", to.sensor_id, row) &&
           take(reader, object, "event_time", to.event_time, row) &&
           take(reader, object, "temperature", to.temperature, row) &&
           take(reader, object, "humidity", to.humidity, row) &&
           take_optional(reader, object, "pressure", to.pressure, row) &&
           take_optional(reader, object, "battery", to.battery, row) &&
           take_optional(reader, object, "site", to.site, row) &&
           take_optional(reader, object, "internal_note", to.internal_note, row);
}

} // namespace

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
    row %= rows_max;
    if (row == 0) {
        reader->texts_end = reader->texts.get();
    }
    // A text takes no more bytes than stand in the value, and unescaping looks ahead.
    const size_t taken = static_cast<size_t>(reader->texts_end - reader->texts.get());
    if (size + SIMDJSON_SLACK_BYTES > texts_bytes - taken) {
        return false;
    }
    simdjson::padded_string_view json(data, size, size + SIMDJSON_SLACK_BYTES);
    simdjson::ondemand::document document;
    simdjson::ondemand::object object;
    return reader->parser.iterate(json).get(document) == simdjson::SUCCESS &&
           document.get_object().get(object) == simdjson::SUCCESS && take_fields(*reader, object, row);
}

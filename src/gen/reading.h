/*
 * Reading: what a sensor of the generated workload has to say, as numbers, and its plain JSON text.
 *
 * The plain text has the eight fields in the order of enum reading_field and no white space, about
 * 205 bytes. A reading says everything about its record: the same reading gives the same bytes
 * again, so an exact resend needs no copy. The text is written by hand, digit by digit, because
 * most records of a workload are plain.
 */
#ifndef WEIR_GEN_READING_H
#define WEIR_GEN_READING_H

#include <stddef.h>
#include <stdint.h>

enum reading_field {
    READING_MESSAGE_ID,
    READING_SENSOR_ID,
    READING_EVENT_TIME,
    READING_TEMPERATURE,
    READING_HUMIDITY,
    READING_PRESSURE,
    READING_BATTERY,
    READING_SITE,
};
#define READING_FIELD_COUNT 8

enum reading_site { SITE_NORTH, SITE_SOUTH, SITE_EAST, SITE_WEST, SITE_TEST };

struct reading {
    uint64_t number;       /* of the message: makes the message_id */
    int64_t event_time_us; /* years 0000 to 9999 */
    uint32_t sensor;       /* below 100,000 */
    int32_t temperature_centi;
    int32_t humidity_deci;
    int32_t pressure_centi;
    int32_t battery;
    enum reading_site site;
};

/* Room for every plain text, and for the text of one field. */
#define READING_TEXT_BYTES 320
#define READING_FIELD_BYTES 48
#define READING_SENSOR_ID_BYTES 7

/* Remembers the text of the last second, which most neighbours share. */
struct reading_writer {
    uint64_t seed;
    int64_t day;
    int64_t second;
    char second_text[19];
};

void reading_writer_init(struct reading_writer *writer, uint64_t seed);

/* "s-00042", no NUL. */
void reading_write_sensor_id(uint32_t sensor, char out[READING_SENSOR_ID_BYTES]);
/* The whole record; returns its size, no NUL. */
size_t reading_write(struct reading_writer *writer, const struct reading *reading,
                     char out[READING_TEXT_BYTES]);
/* The JSON value of one field, with its quotes where it is a string; returns its size, no NUL. */
size_t reading_write_field(struct reading_writer *writer, const struct reading *reading,
                           enum reading_field field, char out[READING_FIELD_BYTES]);

#endif

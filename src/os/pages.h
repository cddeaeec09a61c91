/*
 * Pages: advice to the system about large memory. Advice changes no content and cannot fail; where
 * the system does not take it, all is as before, only slower.
 */
#ifndef WEIR_OS_PAGES_H
#define WEIR_OS_PAGES_H

#include <stddef.h>

/* Memory that was just allocated and will be written wholly gets its pages at once, not by one
 * fault for each when it is first written. */
void pages_populate(void *data, size_t size_bytes);

#endif

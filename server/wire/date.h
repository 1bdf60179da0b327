/* date: the three forms of HTTP dates (RFC 9110 5.6.7). */
#ifndef WIRE_DATE_H
#define WIRE_DATE_H

#include "base/text.h"
#include <time.h>

enum { DATE_LENGTH = 29 };

/* "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT" (years 70 to 99 are of the last century) or
 * "Sun Nov  6 08:49:37 1994". The day of the week must be one, but is not checked against the date. */
bool date_parse(struct text t, time_t *out);
/* The first form. Years 0 to 9999; others are taken as the nearest of these. */
struct text date_format(char room[DATE_LENGTH], time_t t);

#endif

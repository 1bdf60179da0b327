/* reader: the filter before all others that turns ranges of files into bytes, a piece at a time. */
#ifndef HTTP_READER_H
#define HTTP_READER_H

#include "http/response.h"

/* Stands in front of the filters of r when one of them needs bytes. */
struct filter_at reader_open(struct request *r);

#endif

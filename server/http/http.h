/* http: the http block as a whole: what its modules added, its servers. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "http/steps.h"

/* The http block that cf is in or has; NULL: there is none. */
struct http *http_of(const struct conf *cf);
extern struct module http_module;

#endif

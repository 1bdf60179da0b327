/*
 * domains: large lists of domain names in files (list_file.h).
 *
 * A line:  example.com, .example.com   the name and all below it          *.example.com   all below it
 *          0.0.0.0 a.example b.example  as in a hosts file: these very names       # begins a comment
 * Names are taken as they are given, in any case; internationalised ones stand in their "xn--" form, as clients ask for them.
 */
#ifndef EVAL_DOMAINS_H
#define EVAL_DOMAINS_H

#include "eval/list_file.h"

/* While a configuration is read: the list of that file (full path). Read, and read anew, as list_file.h says. */
struct list_file *domains_of(struct conf *cf, struct text path);

/* Is host (lower case, without port) in the list? */
bool domains_have(const struct list_file *d, struct text host);
/* Names in the list, and bytes that it takes. */
size_t domains_count(const struct list_file *d);
size_t domains_bytes(const struct list_file *d);

#endif

/*
 * health_check: what the files of the module share.
 *   health_check.c         the directive, the probe        health_check_match.c    match blocks
 */
#ifndef MODULES_HEALTH_CHECK_H
#define MODULES_HEALTH_CHECK_H

#include "http/fetch.h"
#include "modules/module.h"

enum { HEALTH_BODY_MOST = 262144 };        /* bytes of an answer's body that are looked at */

struct match_range { unsigned from, to; };
struct match_status { bool not; struct match_range *v; size_t n; };

enum match_how { MATCH_PRESENT, MATCH_ABSENT, MATCH_EQUAL, MATCH_UNEQUAL, MATCH_REGEX, MATCH_NOT_REGEX };
struct match_header { struct text name; enum match_how how; struct text value; struct regex *regex; };
struct match_body { bool not; struct regex *regex; };

/* One match block. All of its tests must hold. */
struct match {
    struct text          name;
    struct match_status *status; size_t status_count, status_cap;
    struct match_header *headers; size_t header_count, header_cap;
    struct match_body   *bodies; size_t body_count, body_cap;
};

extern const struct conf_type match_type;
/* The block of that name, also one that comes later in the file; filled when the file is read. */
struct match *match_named(struct conf *cf, struct text name);
bool match_is_defined(const struct match *m);
/* Does the answer hold? m NULL: any status of 200 to 399. False: why has the words. */
bool match_holds(const struct match *m, const struct fetch *f, char *why, size_t size);

extern struct module http_health_check_module;

#endif

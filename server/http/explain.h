/*
 * explain: "weir -t --explain 'GET https://host/uri'": one request goes its real way, from the server that its host belongs to
 * up to who would answer it, and each decision is a numbered line. Nothing is sent anywhere; whether files are there is asked.
 * The ones that decide say so where explain_on is set, which costs one look at a pointer.
 */
#ifndef HTTP_EXPLAIN_H
#define HTTP_EXPLAIN_H

#include "http/steps.h"

struct cycle;
struct explain;
extern struct explain *explain_on;

#define explain_note(...) do { if (unlikely(explain_on != NULL)) explain_say(__VA_ARGS__); } while (0)

/* A line of the explanation; file may be NULL. */
__attribute__((format(printf, 3, 4), cold)) void explain_say(const char *file, unsigned line, const char *fmt, ...);
/* More about the line before: indented, without a number. */
__attribute__((format(printf, 1, 2), cold)) void explain_more(const char *fmt, ...);
/* About the directive of that name that is in force for r. */
__attribute__((format(printf, 3, 4), cold)) void explain_directive(const struct request *r, const char *name, const char *fmt, ...);

/* For steps.c: the location that was found; what a reply would be; who answers; is this hook to be passed by? The last two end it. */
void explain_location(struct request *r, const struct location *l, bool redirect);
struct verdict explain_reply(struct request *r, int status);
struct verdict explain_content(struct request *r);
bool explain_skips(const struct request *r, const struct hook *hook);
/* For response.c: the head is made. */
void explain_head(struct request *r);
/* For open_file.c: what was asked of a file. */
void explain_file(struct request *r, struct text path, bool there, bool folder);

/* The whole of it, for c->options; false after a line on stderr. */
bool explain_run(struct cycle *c);

#endif

/* location: which location block a uri belongs to, by nginx's rules. */
#ifndef HTTP_LOCATION_H
#define HTTP_LOCATION_H

#include "eval/match.h"
#include "http/verdict.h"

#define LOCATION_MAGIC 0x4c4f4331u
struct request;
struct locations;

enum location_kind { LOCATION_PREFIX, LOCATION_EXACT, LOCATION_PREFIX_FINAL /* ^~ */, LOCATION_REGEX, LOCATION_NAMED,
                     LOCATION_NONAME /* of a server itself, "if", limit_except: not found by uri */ };

struct location {
    unsigned            magic;
    enum location_kind  kind;
    struct text         name;            /* prefix, regex source, "@name"; ends with NUL */
    struct regex       *regex;
    struct conf_block  *block;           /* its values: block->values */
    struct location    *parent;          /* enclosing location or NULL */
    struct locations   *inner;           /* nested ones, or NULL */
    /* Who answers: proxy_pass, return's text, stub_status …; NULL: files. */
    struct verdict    (*content)(struct request *r);
    void               *content_data;
    const struct probe *probe;           /* of who answers, where that is an upstream: probe.h; or NULL */
    const struct log   *log;             /* error_log in force, opened */
    struct location    *next;            /* in the file's order; of nameless ones: of the same parent */
    struct location    *nameless;        /* "if" and the like in it */
    bool                internal;
    bool                auto_redirect;   /* name ends with "/" and content is a gateway: "/name" → 301 "/name/" */
    unsigned            limit_except;    /* methods let through, 1 << enum method; 0: none given */
    struct location    *limit_except_location;
};

/* A location that no uri finds: for the parsers of "if" and the like. Its block is set by the caller after conf_enter;
 * content is the enclosing location's unless another is set. */
struct location *location_open(struct conf *cf, enum location_kind kind, struct text name, struct location *parent);
/* While reading: sets who answers in the block being read (location, if in location, limit_except); a second one: "is duplicate". */
conf_result location_set_content(struct conf *cf, struct verdict (*content)(struct request *r), void *data);
/* While reading the directive of a gateway: where the location's name ends with "/", the uri without it is redirected there. */
void location_redirects_folder(struct conf *cf);
/* The location being read (or "if", limit_except in it), or NULL outside one. */
struct location *location_reading(struct conf *cf);
/* The parser of "location": reads the whole block. */
conf_result location_read(struct conf *cf);

/* The set of one server or one location. Built once; lookup is by binary search over prefixes, then regexes in order. */
struct locations *locations_open(struct conf *cf);
void              locations_add(struct locations *set, struct location *l);
/* Sorts this set and those nested in it. False after [emerg] lines (duplicates). */
bool              locations_build(struct conf *cf, struct locations *set);
/* Calls fn for every location of the set and those nested in it, parents first. */
void              locations_each(const struct locations *set, void (*fn)(struct location *l, void *arg), void *arg);
/* For uri; e keeps the captures of a regex. NULL: none. *redirect_out: true when "/name" should be redirected to "/name/". */
struct location  *locations_find(const struct locations *set, struct text uri, struct eval *e, bool *redirect_out);
struct location  *locations_named(const struct locations *set, struct text name);

#endif

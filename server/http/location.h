/* location: which location block a uri belongs to, by nginx's rules. */
#ifndef HTTP_LOCATION_H
#define HTTP_LOCATION_H

#include "eval/match.h"
#include "http/verdict.h"

#define LOCATION_MAGIC 0x4c4f4331u
struct request;

enum location_kind { LOCATION_PREFIX, LOCATION_EXACT, LOCATION_PREFIX_FINAL /* ^~ */, LOCATION_REGEX, LOCATION_NAMED, LOCATION_NONAME /* if, limit_except */ };

struct location {
    unsigned            magic;
    enum location_kind  kind;
    struct text         name;            /* prefix, regex source, "@name" */
    struct regex       *regex;
    struct conf_block  *block;           /* its values: block->values */
    struct location    *parent;          /* enclosing location or NULL */
    struct locations   *inner;           /* nested ones, or NULL */
    /* Who answers: proxy_pass, return's text, stub_status …; NULL: files. */
    struct verdict    (*content)(struct request *r);
    void               *content_data;
    bool                internal, auto_redirect;   /* auto_redirect: name ends with "/" and content is a gateway: "/name" → 301 "/name/" */
    bool                exact_only_content;
    unsigned            limit_except;    /* methods let through, 1 << enum method; 0: none given */
    struct location    *limit_except_location;
};

/* While reading: sets who answers in the block being read (location, if in location, limit_except); a second one: "is duplicate". */
conf_result location_set_content(struct conf *cf, struct verdict (*content)(struct request *r), void *data);
/* The location being read, or NULL outside one. */
struct location *location_reading(struct conf *cf);

/* The set of one server or one location. Built once; lookup is by binary tree over prefixes, then regexes in order. */
struct locations *locations_open(struct conf *cf);
conf_result locations_add(struct conf *cf, struct locations *set, struct location *l);
void        locations_build(struct conf *cf, struct locations *set);
/* For r->uri. NULL: none. *redirect_out: true when "/name" should be redirected to "/name/". */
struct location *locations_find(const struct locations *set, struct request *r, bool *redirect_out);
struct location *locations_named(const struct locations *set, struct text name);

#endif

/*
 * probe: what a location would ask its upstream, without a request of a client's. Who passes requests on (proxy_pass) says so of the
 * location it stands in; who asks for the server itself (health_check) uses it.
 */
#ifndef HTTP_PROBE_H
#define HTTP_PROBE_H

#include "http/fetch.h"
#include "http/location.h"

struct group;

struct probe {
    const char   *directive;      /* for messages: "proxy_pass" */
    /* Is the group known before there is a request? */
    bool          (*is_fixed)(const struct location *l);
    /* Where it is. Once the configuration is whole. */
    struct group *(*group)(const struct location *l);
    /* The host that requests name, as $proxy_host has it. */
    struct text   (*host)(const struct location *l);
    /* Fills what is the location's own: TLS, HTTP version, timeouts, source address, size of the head, fields (made in e->pool; an
     * empty value: not to be sent). e: knows only what its owner put into it, every other variable is empty. Once a generation is
     * open. */
    void          (*prepare)(const struct location *l, struct eval *e, struct fetch_want *out);
};

#endif

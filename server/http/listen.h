/* listen: the listen directives while they are read, and the listeners that come of them. */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include "http/steps.h"

/* How a socket is to be; of all listen directives of one address one may say it. */
struct listen_options {
    bool set;                   /* something was said */
    bool bind, deferred, reuseport, multipath;
    int  backlog, rcvbuf, sndbuf, fastopen, ipv6only, keepalive, keepidle, keepintvl, keepcnt;
};

/* One address with its servers. */
struct listen {
    struct listen        *next;
    struct vhost_addr     at;
    struct text           name;         /* "0.0.0.0:80" */
    struct listen_options options;
    bool                  default_given, done;
    const char           *file;         /* first seen */
    unsigned              line;
    struct vhost        **servers;
    size_t                server_count, server_cap;
};

/* The parser of "listen", in the server v. */
conf_result listen_read(struct conf *cf, struct http *h, struct vhost *v);
/* v has no listen directive: *:80, or *:8000 when weir does not run as root. */
conf_result listen_default(struct conf *cf, struct http *h, struct vhost *v);
/* At the end: which server names stand at each address, and one listener for each socket. False after [emerg] lines. */
bool listen_build(struct conf *cf, struct http *h);

#endif

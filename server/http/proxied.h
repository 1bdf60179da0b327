/* proxied: what a PROXY protocol header said of a client's connection; lives as long as the connection. */
#ifndef HTTP_PROXIED_H
#define HTTP_PROXIED_H

#include "os/addr.h"

/* source, target: AF_UNSPEC where the header does not tell. tlvs: of version 2, for proxy_protocol_tlv (wire/proxy_protocol.h). */
struct proxied { struct addr source, target; struct text tlvs; unsigned version; };

enum proxied_result { PROXIED_MORE, PROXIED_DONE, PROXIED_BAD };
/* n bytes at p begin a connection. DONE: *out (malloc'ed, one piece), and *used of the bytes are the header. */
enum proxied_result proxied_read(const char *p, size_t n, struct proxied **out, size_t *used);

#endif

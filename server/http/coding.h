/* coding: which responses may be sent in a content coding (gzip, br, zstd) to whom: what filters and files stored beforehand share. */
#ifndef HTTP_CODING_H
#define HTTP_CODING_H

#include "http/request.h"

/* The client's weight for coding, 0 to 1000, by Accept-Encoding (RFC 9110 12.5.3); 0 as well where gzip_disable, gzip_http_version
 * or gzip_proxied forbid it, or the response of a subrequest is asked about. The response's own fields count for gzip_proxied. */
int  coding_weight(struct request *r, struct text coding);
/* With gzip_vary on: the response says that it depends on Accept-Encoding (once, however often it is called). */
void coding_vary(struct request *r);
bool coding_varies(const struct request *r);

#endif

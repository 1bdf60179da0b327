/* base64: RFC 4648, both alphabets. */
#ifndef WIRE_BASE64_H
#define WIRE_BASE64_H

#include "base/build.h"

/* url: "-" and "_" in place of "+" and "/", and no padding (RFC 4648 5). */
void base64_encode(struct build *b, struct text bytes, bool url);
/* Strict: no other characters, padding right or absent, unused bits zero. False: b may have got some bytes. */
bool base64_decode(struct build *b, struct text t, bool url);

#endif

/* ending: when certificates expire, and telling of it in time: 30, 14, 7 and 1 days before, and when it has come. */
#ifndef TLS_ENDING_H
#define TLS_ENDING_H

#include "base/log.h"

/* s: when the first of a certificate and those between it and a root expires, wall clock. kind: of its key, OpenSSL's number. */
struct tls_ending { int64_t s; int kind; };

/* from: as tls_pair's certificate. False: it cannot be read; nothing is logged. */
bool tls_ending_read(struct text from, struct tls_ending *out);
/* "RSA", "id-ecPublicKey"; valid for good. */
const char *tls_ending_kind(int kind);

enum { TLS_ENDING_STAGES = 5 };
/* How far it is: 0: more than 30 days, 1: at most 30, 2: 14, 3: 7, 4: 1, 5: over. */
unsigned tls_ending_stage(int64_t ends_s, int64_t now_s);
/* One line, where the stage is beyond *told, which becomes the stage: [warn], or [error] when it is over. */
void tls_ending_tell(struct text name, int64_t ends_s, int64_t now_s, uint32_t *told, const struct log *log);

#endif

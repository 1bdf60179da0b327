/*
 * park: a request that has nothing more to do until it ends, and then is only logged (a tunnel): what the log needs of it stays in a small
 * record, its memory goes. It becomes a request again to be ended.
 */
#ifndef HTTP_PARK_H
#define HTTP_PARK_H

#include "http/request.h"

struct parked;

/* Can it be? Not while somebody waits for its close, a filter or a subrequest hangs on it, or its protocol does not know how. */
bool request_may_park(const struct request *r);
/* r ends here, without a log line; it must have let go of its exchange. */
struct parked *request_park(struct request *r);
/* A request again, as it was when it was parked (but for what modules kept in contexts), its answer's head sent. Ends *p. */
struct request *request_unpark(struct parked **p);

#endif

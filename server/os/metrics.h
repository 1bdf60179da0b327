/*
 * metrics: what happens here, counted over all processes of all generations. Each process adds to a row of its own in shared
 * memory, without locks; who wants to know sums the rows. Of a process that has ended its counters stay, its gauges go.
 */
#ifndef OS_METRICS_H
#define OS_METRICS_H

#include "base/base.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

/* X(NUMBER, name, kind, what it says) */
#define METRICS(X) \
    X(CONNECTIONS_ACCEPTED, "connections_accepted", COUNTER, "Client connections that were accepted.") \
    X(CONNECTIONS_HANDLED,  "connections_handled",  COUNTER, "Client connections that were served: less than accepted where worker_connections ran short.") \
    X(CONNECTIONS_ACTIVE,   "connections_active",   GAUGE,   "Client connections that are open.") \
    X(CONNECTIONS_READING,  "connections_reading",  GAUGE,   "Connections on which the head of a request is being read.") \
    X(CONNECTIONS_WRITING,  "connections_writing",  GAUGE,   "Connections on which a request is being served.") \
    X(CONNECTIONS_WAITING,  "connections_waiting",  GAUGE,   "Connections that are idle: the next request has not begun.") \
    X(REQUESTS,             "requests",             COUNTER, "Requests of clients.") \
    X(LIMIT_REQ_PASSED,     "limit_req_passed",     COUNTER, "Requests that limit_req let through at once.") \
    X(LIMIT_REQ_DELAYED,    "limit_req_delayed",    COUNTER, "Requests that limit_req held back.") \
    X(LIMIT_REQ_REJECTED,   "limit_req_rejected",   COUNTER, "Requests that limit_req refused.") \
    X(LIMIT_CONN_PASSED,    "limit_conn_passed",    COUNTER, "Requests that limit_conn let through.") \
    X(LIMIT_CONN_REJECTED,  "limit_conn_rejected",  COUNTER, "Requests that limit_conn refused.") \
    X(ACCESS_DENIED,        "access_denied",        COUNTER, "Requests that a deny rule refused.") \
    X(FORWARD_ALLOWED,      "forward_proxy_allowed", COUNTER, "Forward requests and tunnels that a rule let through.") \
    X(FORWARD_DENIED,       "forward_proxy_denied",  COUNTER, "Forward requests and tunnels that were refused.") \
    X(AUTH_PASSED,          "auth_passed",          COUNTER, "Requests whose user or token was good.") \
    X(AUTH_FAILED,          "auth_failed",          COUNTER, "Requests without a good user or token.") \
    X(AUTH_REQUEST_PASSED,  "auth_request_passed",  COUNTER, "Requests that auth_request let through.") \
    X(AUTH_REQUEST_REFUSED, "auth_request_refused", COUNTER, "Requests that auth_request refused, or could not decide.") \
    X(AUTH_REQUIRE_REFUSED, "auth_require_refused", COUNTER, "Requests that auth_require refused.") \
    X(REFERER_INVALID,      "referer_invalid",      COUNTER, "Requests whose Referer is none of valid_referers.") \
    X(SECURE_LINK_REFUSED,  "secure_link_refused",  COUNTER, "Requests whose secure link was wrong or too old.") \
    X(KEYVAL_FULL,          "keyval_full",          COUNTER, "Values that a full keyval zone did not take.")

enum metric {
#define X(number, name, kind, help) METRIC_##number,
    METRICS(X)
#undef X
    METRIC_COUNT
};

struct metric_row { const char *name, *help; enum metric_kind kind; };
extern const struct metric_row metric_rows[METRIC_COUNT];

/* This process's row; memory of its own until metrics_begin. */
extern uint64_t *metrics_own;
static inline void metrics_add(enum metric m, int64_t n) { metrics_own[m] += (uint64_t) n; }

/* In the master: the zone. Once; later calls change nothing. False after a log line. */
bool metrics_open(void);
/* In a process that has been forked: a row, with what was counted so far. */
void metrics_begin(void);
/* Over all processes, as of now. */
uint64_t metrics_sum(enum metric m);

#endif

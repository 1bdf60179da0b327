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
    X(PROCESSES_RESPAWNED,  "processes_respawned",  COUNTER, "Workers and managers that ended by themselves and were started again.") \
    X(SSL_HANDSHAKES,       "ssl_handshakes",       COUNTER, "TLS handshakes that ended well, with clients and servers.") \
    X(SSL_FAILED,           "ssl_handshakes_failed", COUNTER, "TLS handshakes that failed.") \
    X(SSL_REUSES,           "ssl_session_reuses",   COUNTER, "TLS handshakes that resumed a session.") \
    X(SSL_NO_PROTOCOL,      "ssl_no_common_protocol", COUNTER, "TLS handshakes that failed for want of a common version.") \
    X(SSL_NO_CIPHER,        "ssl_no_common_cipher", COUNTER, "TLS handshakes that failed for want of a common cipher.") \
    X(SSL_TIMEOUT,          "ssl_handshake_timeout", COUNTER, "TLS handshakes that took too long.") \
    X(SSL_REJECTED,         "ssl_peer_rejected_cert", COUNTER, "TLS handshakes that the peer ended because of our certificate.") \
    X(SSL_NO_CERT,          "ssl_no_cert",          COUNTER, "Peers that showed no certificate, and had to.") \
    X(SSL_EXPIRED,          "ssl_expired_cert",     COUNTER, "Peers whose certificate had expired, or was not valid yet.") \
    X(SSL_REVOKED,          "ssl_revoked_cert",     COUNTER, "Peers whose certificate was revoked.") \
    X(SSL_MISNAMED,         "ssl_hostname_mismatch", COUNTER, "Servers whose certificate bears another name.") \
    X(SSL_UNVERIFIED,       "ssl_verify_other",     COUNTER, "Peers whose certificate was not good for another reason.") \
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
/* In any process, also the master: one more. For what is rare. */
void metrics_note(enum metric m);
/* Over all processes, as of now. */
uint64_t metrics_sum(enum metric m);
/* Since metrics_forget was last called for it. */
uint64_t metrics_since(enum metric m);
void metrics_forget(enum metric m);

#endif

/* field: one header line, its name known by number; and the facts of every name we know. */
#ifndef WIRE_FIELD_H
#define WIRE_FIELD_H

#include "base/text.h"

enum {
    F_HOP = 1,          /* says something of this connection only: never forwarded (RFC 9110 7.6.1) */
    F_LIST = 2,         /* a list: several lines mean the same as one with commas (RFC 9110 5.6.1) */
    F_NO_TRAILER = 4,   /* framing, routing, authentication, conditions, content format: never in trailers (RFC 9110 6.5.1) */
};

/* X(NUMBER, name, facts, where it is defined) */
#define FIELDS(X) \
    X(HOST,                     "Host",                     F_NO_TRAILER,                   "RFC 9110 7.2") \
    X(CONNECTION,               "Connection",               F_HOP | F_LIST | F_NO_TRAILER,  "RFC 9110 7.6.1") \
    X(KEEP_ALIVE,               "Keep-Alive",               F_HOP | F_LIST | F_NO_TRAILER,  "RFC 2068 19.7.1") \
    X(PROXY_CONNECTION,         "Proxy-Connection",         F_HOP | F_LIST | F_NO_TRAILER,  "RFC 9112 C.2.2") \
    X(TRANSFER_ENCODING,        "Transfer-Encoding",        F_HOP | F_LIST | F_NO_TRAILER,  "RFC 9112 6.1") \
    X(TE,                       "TE",                       F_HOP | F_LIST | F_NO_TRAILER,  "RFC 9110 10.1.4") \
    X(TRAILER,                  "Trailer",                  F_LIST | F_NO_TRAILER,          "RFC 9110 6.6.2") \
    X(UPGRADE,                  "Upgrade",                  F_HOP | F_LIST | F_NO_TRAILER,  "RFC 9110 7.8") \
    X(HTTP2_SETTINGS,           "HTTP2-Settings",           F_HOP | F_NO_TRAILER,           "RFC 7540 3.2.1") \
    X(EXPECT,                   "Expect",                   F_LIST | F_NO_TRAILER,          "RFC 9110 10.1.1") \
    X(MAX_FORWARDS,             "Max-Forwards",             F_NO_TRAILER,                   "RFC 9110 7.6.2") \
    X(VIA,                      "Via",                      F_LIST | F_NO_TRAILER,          "RFC 9110 7.6.3") \
    X(CONTENT_LENGTH,           "Content-Length",           F_NO_TRAILER,                   "RFC 9110 8.6") \
    X(CONTENT_TYPE,             "Content-Type",             F_NO_TRAILER,                   "RFC 9110 8.3") \
    X(CONTENT_ENCODING,         "Content-Encoding",         F_LIST | F_NO_TRAILER,          "RFC 9110 8.4") \
    X(CONTENT_LANGUAGE,         "Content-Language",         F_LIST,                         "RFC 9110 8.5") \
    X(CONTENT_LOCATION,         "Content-Location",         0,                              "RFC 9110 8.7") \
    X(CONTENT_RANGE,            "Content-Range",            F_NO_TRAILER,                   "RFC 9110 14.4") \
    X(CONTENT_DISPOSITION,      "Content-Disposition",      0,                              "RFC 6266 4") \
    X(CONTENT_MD5,              "Content-MD5",              0,                              "RFC 1864") \
    X(CONTENT_SECURITY_POLICY,  "Content-Security-Policy",  F_LIST,                         "W3C CSP 3.1") \
    X(CONTENT_SECURITY_POLICY_REPORT_ONLY, "Content-Security-Policy-Report-Only", F_LIST,   "W3C CSP 3.2") \
    X(DATE,                     "Date",                     F_NO_TRAILER,                   "RFC 9110 6.6.1") \
    X(SERVER,                   "Server",                   0,                              "RFC 9110 10.2.4") \
    X(LOCATION,                 "Location",                 F_NO_TRAILER,                   "RFC 9110 10.2.2") \
    X(ETAG,                     "ETag",                     0,                              "RFC 9110 8.8.3") \
    X(LAST_MODIFIED,            "Last-Modified",            0,                              "RFC 9110 8.8.2") \
    X(IF_MATCH,                 "If-Match",                 F_LIST | F_NO_TRAILER,          "RFC 9110 13.1.1") \
    X(IF_NONE_MATCH,            "If-None-Match",            F_LIST | F_NO_TRAILER,          "RFC 9110 13.1.2") \
    X(IF_MODIFIED_SINCE,        "If-Modified-Since",        F_NO_TRAILER,                   "RFC 9110 13.1.3") \
    X(IF_UNMODIFIED_SINCE,      "If-Unmodified-Since",      F_NO_TRAILER,                   "RFC 9110 13.1.4") \
    X(IF_RANGE,                 "If-Range",                 F_NO_TRAILER,                   "RFC 9110 13.1.5") \
    X(RANGE,                    "Range",                    F_NO_TRAILER,                   "RFC 9110 14.2") \
    X(ACCEPT_RANGES,            "Accept-Ranges",            F_LIST,                         "RFC 9110 14.3") \
    X(ACCEPT,                   "Accept",                   F_LIST | F_NO_TRAILER,          "RFC 9110 12.5.1") \
    X(ACCEPT_CHARSET,           "Accept-Charset",           F_LIST | F_NO_TRAILER,          "RFC 9110 12.5.2") \
    X(ACCEPT_ENCODING,          "Accept-Encoding",          F_LIST | F_NO_TRAILER,          "RFC 9110 12.5.3") \
    X(ACCEPT_LANGUAGE,          "Accept-Language",          F_LIST | F_NO_TRAILER,          "RFC 9110 12.5.4") \
    X(VARY,                     "Vary",                     F_LIST | F_NO_TRAILER,          "RFC 9110 12.5.5") \
    X(AUTHORIZATION,            "Authorization",            F_NO_TRAILER,                   "RFC 9110 11.6.2") \
    X(WWW_AUTHENTICATE,         "WWW-Authenticate",         F_LIST | F_NO_TRAILER,          "RFC 9110 11.6.1") \
    X(AUTHENTICATION_INFO,      "Authentication-Info",      F_LIST,                         "RFC 9110 11.6.3") \
    X(PROXY_AUTHENTICATE,       "Proxy-Authenticate",       F_LIST | F_NO_TRAILER,          "RFC 9110 11.7.1") \
    X(PROXY_AUTHORIZATION,      "Proxy-Authorization",      F_NO_TRAILER,                   "RFC 9110 11.7.2") \
    X(PROXY_AUTHENTICATION_INFO, "Proxy-Authentication-Info", F_LIST,                       "RFC 9110 11.7.3") \
    X(COOKIE,                   "Cookie",                   F_NO_TRAILER,                   "RFC 6265 5.4") \
    X(SET_COOKIE,               "Set-Cookie",               F_NO_TRAILER,                   "RFC 6265 4.1") \
    X(CACHE_CONTROL,            "Cache-Control",            F_LIST | F_NO_TRAILER,          "RFC 9111 5.2") \
    X(CDN_CACHE_CONTROL,        "CDN-Cache-Control",        F_NO_TRAILER,                   "RFC 9213 3.1") \
    X(SURROGATE_CONTROL,        "Surrogate-Control",        F_LIST | F_NO_TRAILER,          "W3C Edge Architecture 2.2") \
    X(EXPIRES,                  "Expires",                  F_NO_TRAILER,                   "RFC 9111 5.3") \
    X(AGE,                      "Age",                      F_NO_TRAILER,                   "RFC 9111 5.1") \
    X(PRAGMA,                   "Pragma",                   F_LIST | F_NO_TRAILER,          "RFC 9111 5.4") \
    X(WARNING,                  "Warning",                  F_LIST | F_NO_TRAILER,          "RFC 9111 5.5") \
    X(CACHE_STATUS,             "Cache-Status",             F_LIST,                         "RFC 9211 2") \
    X(PROXY_STATUS,             "Proxy-Status",             F_LIST,                         "RFC 9209 2") \
    X(USER_AGENT,               "User-Agent",               0,                              "RFC 9110 10.1.5") \
    X(REFERER,                  "Referer",                  0,                              "RFC 9110 10.1.3") \
    X(FROM,                     "From",                     0,                              "RFC 9110 10.1.2") \
    X(ORIGIN,                   "Origin",                   F_NO_TRAILER,                   "RFC 6454 7") \
    X(ALLOW,                    "Allow",                    F_LIST,                         "RFC 9110 10.2.1") \
    X(RETRY_AFTER,              "Retry-After",              F_NO_TRAILER,                   "RFC 9110 10.2.3") \
    X(REFRESH,                  "Refresh",                  0,                              "HTML 7.11") \
    X(LINK,                     "Link",                     F_LIST,                         "RFC 8288 3") \
    X(ALT_SVC,                  "Alt-Svc",                  F_LIST,                         "RFC 7838 3") \
    X(EARLY_DATA,               "Early-Data",               F_NO_TRAILER,                   "RFC 8470 5.1") \
    X(PRIORITY,                 "Priority",                 F_LIST,                         "RFC 9218 5") \
    X(STRICT_TRANSPORT_SECURITY, "Strict-Transport-Security", 0,                            "RFC 6797 6.1") \
    X(FORWARDED,                "Forwarded",                F_LIST | F_NO_TRAILER,          "RFC 7239 4") \
    X(X_FORWARDED_FOR,          "X-Forwarded-For",          F_LIST | F_NO_TRAILER,          "by custom") \
    X(X_FORWARDED_HOST,         "X-Forwarded-Host",         F_LIST | F_NO_TRAILER,          "by custom") \
    X(X_FORWARDED_PORT,         "X-Forwarded-Port",         F_NO_TRAILER,                   "by custom") \
    X(X_FORWARDED_PROTO,        "X-Forwarded-Proto",        F_NO_TRAILER,                   "by custom") \
    X(X_REAL_IP,                "X-Real-IP",                F_NO_TRAILER,                   "by custom") \
    X(X_REQUEST_ID,             "X-Request-ID",             0,                              "by custom") \
    X(X_REQUESTED_WITH,         "X-Requested-With",         0,                              "by custom") \
    X(X_ACCEL_REDIRECT,         "X-Accel-Redirect",         F_NO_TRAILER,                   "nginx") \
    X(X_ACCEL_EXPIRES,          "X-Accel-Expires",          F_NO_TRAILER,                   "nginx") \
    X(X_ACCEL_LIMIT_RATE,       "X-Accel-Limit-Rate",       F_NO_TRAILER,                   "nginx") \
    X(X_ACCEL_BUFFERING,        "X-Accel-Buffering",        F_NO_TRAILER,                   "nginx") \
    X(X_ACCEL_CHARSET,          "X-Accel-Charset",          F_NO_TRAILER,                   "nginx") \
    X(X_CONTENT_TYPE_OPTIONS,   "X-Content-Type-Options",   0,                              "Fetch 3.5") \
    X(X_FRAME_OPTIONS,          "X-Frame-Options",          0,                              "RFC 7034 2") \
    X(X_XSS_PROTECTION,         "X-XSS-Protection",         0,                              "by custom") \
    X(X_POWERED_BY,             "X-Powered-By",             0,                              "by custom") \
    X(X_ROBOTS_TAG,             "X-Robots-Tag",             0,                              "by custom") \
    X(DEPTH,                    "Depth",                    F_NO_TRAILER,                   "RFC 4918 10.2") \
    X(DESTINATION,              "Destination",              F_NO_TRAILER,                   "RFC 4918 10.3") \
    X(OVERWRITE,                "Overwrite",                F_NO_TRAILER,                   "RFC 4918 10.6") \
    X(IF,                       "If",                       F_NO_TRAILER,                   "RFC 4918 10.4") \
    X(LOCK_TOKEN,               "Lock-Token",               F_NO_TRAILER,                   "RFC 4918 10.5") \
    X(TIMEOUT,                  "Timeout",                  F_LIST | F_NO_TRAILER,          "RFC 4918 10.7") \
    X(DAV,                      "DAV",                      F_LIST,                         "RFC 4918 10.1") \
    X(SEC_WEBSOCKET_KEY,        "Sec-WebSocket-Key",        F_NO_TRAILER,                   "RFC 6455 11.3.1") \
    X(SEC_WEBSOCKET_EXTENSIONS, "Sec-WebSocket-Extensions", F_LIST | F_NO_TRAILER,          "RFC 6455 11.3.2") \
    X(SEC_WEBSOCKET_ACCEPT,     "Sec-WebSocket-Accept",     F_NO_TRAILER,                   "RFC 6455 11.3.3") \
    X(SEC_WEBSOCKET_PROTOCOL,   "Sec-WebSocket-Protocol",   F_LIST | F_NO_TRAILER,          "RFC 6455 11.3.4") \
    X(SEC_WEBSOCKET_VERSION,    "Sec-WebSocket-Version",    F_LIST | F_NO_TRAILER,          "RFC 6455 11.3.5") \
    X(SEC_FETCH_SITE,           "Sec-Fetch-Site",           0,                              "W3C Fetch Metadata 2.4") \
    X(SEC_FETCH_MODE,           "Sec-Fetch-Mode",           0,                              "W3C Fetch Metadata 2.2") \
    X(SEC_FETCH_DEST,           "Sec-Fetch-Dest",           0,                              "W3C Fetch Metadata 2.1") \
    X(SEC_FETCH_USER,           "Sec-Fetch-User",           0,                              "W3C Fetch Metadata 2.3") \
    X(SEC_CH_UA,                "Sec-CH-UA",                F_LIST,                         "UA Client Hints 3.1") \
    X(SEC_CH_UA_MOBILE,         "Sec-CH-UA-Mobile",         0,                              "UA Client Hints 3.5") \
    X(SEC_CH_UA_PLATFORM,       "Sec-CH-UA-Platform",       0,                              "UA Client Hints 3.7") \
    X(UPGRADE_INSECURE_REQUESTS, "Upgrade-Insecure-Requests", 0,                            "W3C Upgrade Insecure Requests 3.2") \
    X(DNT,                      "DNT",                      0,                              "W3C Tracking Preference 5.2") \
    X(TRACEPARENT,              "traceparent",              0,                              "W3C Trace Context 3.2") \
    X(TRACESTATE,               "tracestate",               F_LIST,                         "W3C Trace Context 3.3") \
    X(SERVER_TIMING,            "Server-Timing",            F_LIST,                         "W3C Server Timing 3.2") \
    X(TIMING_ALLOW_ORIGIN,      "Timing-Allow-Origin",      F_LIST,                         "W3C Resource Timing 4.5.1") \
    X(PERMISSIONS_POLICY,       "Permissions-Policy",       F_LIST,                         "W3C Permissions Policy 6.1") \
    X(REFERRER_POLICY,          "Referrer-Policy",          F_LIST,                         "W3C Referrer Policy 4.1") \
    X(ACCESS_CONTROL_ALLOW_ORIGIN,      "Access-Control-Allow-Origin",      0,              "Fetch 3.2.3") \
    X(ACCESS_CONTROL_ALLOW_CREDENTIALS, "Access-Control-Allow-Credentials", 0,              "Fetch 3.2.3") \
    X(ACCESS_CONTROL_ALLOW_METHODS,     "Access-Control-Allow-Methods",     F_LIST,         "Fetch 3.2.3") \
    X(ACCESS_CONTROL_ALLOW_HEADERS,     "Access-Control-Allow-Headers",     F_LIST,         "Fetch 3.2.3") \
    X(ACCESS_CONTROL_MAX_AGE,           "Access-Control-Max-Age",           0,              "Fetch 3.2.3") \
    X(ACCESS_CONTROL_EXPOSE_HEADERS,    "Access-Control-Expose-Headers",    F_LIST,         "Fetch 3.2.3") \
    X(ACCESS_CONTROL_REQUEST_METHOD,    "Access-Control-Request-Method",    0,              "Fetch 3.2.2") \
    X(ACCESS_CONTROL_REQUEST_HEADERS,   "Access-Control-Request-Headers",   F_LIST,         "Fetch 3.2.2")

enum field_id {
    FIELD_OTHER,
#define X(number, name, facts, section) FIELD_##number,
    FIELDS(X)
#undef X
    FIELD_COUNT     /* fits a byte */
};

struct field {
    struct text   name, value;      /* value: without whitespace at its ends */
    enum field_id id;
    bool          bad_name;         /* has a character that nginx's ignore_invalid_headers minds (not a letter, digit, "-") */
    bool          has_underscore;   /* has one; no reason for bad_name by itself */
};

struct field_row { struct text name; const char *section; unsigned facts; };

/* The number of a name, whatever its case; FIELD_OTHER when it is not known. Any bytes will do. */
enum field_id field_lookup(struct text name);
/* OTHER: an empty name without facts. */
const struct field_row *field_row(enum field_id id);
static inline bool field_is(enum field_id id, unsigned fact) { return field_row(id)->facts & fact; }

#endif

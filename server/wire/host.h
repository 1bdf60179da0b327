/*
 * host: is the host that a client names one that can only mean one thing? Systems read "0177.1", "2130706433" and "0x7f.1" as
 * 127.0.0.1; who lets them through has looked at one name and connects to another. What ends in a number is an address or refused (as in
 * the WHATWG URL standard, 3.5), and an address has one spelling.
 */
#ifndef WIRE_HOST_H
#define WIRE_HOST_H

#include "base/text.h"

enum host_kind { HOST_NAME, HOST_IPV4, HOST_IPV6 /* in brackets */, HOST_ODD };

/* t: lower case, without port, as uri_host gives it. ODD: *why_out. */
enum host_kind host_look(struct text t, const char **why_out);

#endif

/*
 * preface: the PROXY protocol's header at the beginning of a connection to a peer (HAProxy's specification, versions 1 and 2): who
 * the client is. Such a connection may serve other requests whose header would be the same, and no others.
 */
#ifndef GATEWAY_PREFACE_H
#define GATEWAY_PREFACE_H

#include "config/conf.h"

struct exchange;

struct preface { struct text text; uint64_t tag; };      /* tag: stands for text in the key of idle connections; 0: no preface */

/* "off | on | v1 | v2 [unique_id=value] [tlv=type:value ...]" into a struct preface_conf *. */
extern const struct conf_type preface_type;

/* x's request: makes x->preface, once. */
void preface_make(struct exchange *x);
/* Sends it over x->conn, which has just been connected. False: that failed. */
bool preface_send(struct exchange *x);

#endif

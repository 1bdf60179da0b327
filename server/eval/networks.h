/*
 * networks: large lists of addresses and networks in files (list_file.h).
 *
 * A line:  192.0.2.1    198.51.100.0/24    2001:db8::/32    192.0.2.7-192.0.2.9        "#" and ";" begin a comment
 * IPv6 addresses that stand for IPv4 (::ffff:1.2.3.4) are taken as IPv4. One line that is none of this makes the file unusable: a list that
 * says who may come in is not to be half read. There may be no line at all.
 */
#ifndef EVAL_NETWORKS_H
#define EVAL_NETWORKS_H

#include "eval/list_file.h"
#include "os/addr.h"

/* While a configuration is read: the list of that file (full path). Read, and read anew, as list_file.h says. */
struct list_file *networks_of(struct conf *cf, struct text path);

/* Is a in the list? Of no family but IPv4 and IPv6 anything is. */
bool networks_have(const struct list_file *f, const struct addr *a);
/* Ranges that it came to, of both families. */
size_t networks_count(const struct list_file *f);

#endif

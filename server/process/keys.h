/*
 * keys: the key process (ssl_key_isolation): the one child that has private keys. Others have a line to it each, the end of which
 * that is the key process's stays with the master as well, so that the next key process goes on where one has died.
 */
#ifndef PROCESS_KEYS_H
#define PROCESS_KEYS_H

#include "process/child.h"

/* Keys that are read for this generation are kept apart, or not. */
void keys_use(const struct cycle *c);
bool keys_are_apart(const struct cycle *c);
/* In the master: keys that change while this generation runs are told to its key process; NULL: to none. */
void keys_tell(struct cycle *c);

/* In a forked child; does not return. */
__attribute__((noreturn)) void keys_run(struct cycle *c, unsigned slot);
/* There: a word of the master's about keys; takes fd. */
void keys_hear(int word, int fd);

#endif

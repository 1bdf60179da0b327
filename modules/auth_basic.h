/* auth_basic's other rooms: passwords against their hashes (pure, may be called in a thread), and files of users. */
#ifndef MODULES_AUTH_BASIC_H
#define MODULES_AUTH_BASIC_H

#include "base/log.h"

/* Does it take so long that the loop should not wait for it? */
bool password_is_slow(struct text hash);
/* {PLAIN}, {SHA}, {SSHA}, $apr1$, and all that crypt(3) knows. What cannot be understood fits no password. Takes as long for a wrong
 * password as for the right one. */
bool password_fits(struct text password, struct text hash);

struct users;
enum users_result { USERS_FINE, USERS_MISSING, USERS_ERROR };
/* The users of the file as it is now: read anew when it has changed. *out is good until this is called again. MISSING and ERROR
 * after a log line. path ends with NUL. */
enum users_result users_get(struct text path, const struct log *log, const struct log_about *about, const struct users **out);
/* The user's hash; false: there is no such user, and *hash_out is another's, so that a wrong name takes as long as a wrong
 * password (empty when there is none). */
bool users_find(const struct users *u, struct text name, struct text *hash_out);

#endif

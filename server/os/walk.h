/* walk: paths opened without being led astray by symbolic links. Only system calls: any thread may call these. */
#ifndef OS_WALK_H
#define OS_WALK_H

#include "base/text.h"

/* What becomes of a symbolic link on the way: followed; followed when link and target have the same owner; refused. */
enum walk_links { WALK_ALL, WALK_OWNED, WALK_NONE };

/* Opens path (full, NUL-ended) with these flags of open(); its first trusted bytes are a folder's name that is taken as it
 * is. -1 with errno; ELOOP: a link stands in the way (WALK_NONE: ENOTDIR where a link stands for a folder, as nginx has it).
 * Nobody can change a link between the look and the use. */
int walk_open(const char *path, size_t trusted, enum walk_links links, int flags, mode_t mode);
/* The folder (O_PATH) of path's last name, for calls like unlinkat; *name_out: that name, within path, which may not end
 * with "/". The name itself is not looked at. -1 with errno. */
int walk_parent(const char *path, size_t trusted, enum walk_links links, const char **name_out);

#endif

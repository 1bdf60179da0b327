/*
 * tree: files and folders removed, copied and put in place by way of the descriptor of the folder they are in, so that no link
 * put in the way is followed. Only system calls: any thread may call these. All give 0, or -1 with errno and what failed in
 * *call_out.
 */
#ifndef OS_TREE_H
#define OS_TREE_H

#include "base/text.h"
#include <sys/stat.h>
#include <time.h>

/* What name in folder is, not what it links to. */
int tree_look(int folder, const char *name, struct stat *st, const char **call_out);
/* A file, a link, or a folder with all that is in it. */
int tree_remove(int folder, const char *name, const char **call_out);
/* A regular file's bytes (fd) as name in folder, all at once: there is the old file, or the whole new one. mode: its
 * permissions; modified: its time. */
int tree_copy_file(int fd, int folder, const char *name, mode_t mode, time_t modified, const char **call_out);
/* A folder with the regular files and folders in it, their permissions and times; to_name may not be there yet. */
int tree_copy(int folder, const char *name, int to_folder, const char *to_name, const char **call_out);

#endif

/* file: log files, folders, whole writes. Paths end with NUL. */
#ifndef OS_FILE_H
#define OS_FILE_H

#include "base/text.h"

/* For appending (a log): made with mode 0644 when it is not there. The descriptor, or -1 with errno. */
int file_open_append(const char *path);
/* Everything or -1 with errno; takes up where a short write ended. */
ssize_t file_write_all(int fd, struct text t);
/* Writes t to path by way of a temporary file beside it and a rename, so that nobody sees half of it. -1 with errno. */
int file_replace(const char *path, struct text t, mode_t mode);
/* At most size - 1 bytes into room, which ends with NUL. Bytes read, or -1 with errno. */
ssize_t file_read(const char *path, char *room, size_t size);
/* Makes the folder path and what is missing above it. 0, or -1 with errno. */
int file_make_folders(const char *path, mode_t mode);
/* For a folder that workers of another user write to: made when missing, then owned by uid (-1: left alone) with at least
 * mode 0700. 0, or -1 with errno and what failed in *call_out. */
int file_own_folder(const char *path, uid_t uid, const char **call_out);

#endif

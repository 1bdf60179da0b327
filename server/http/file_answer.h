/* file_answer: a regular file as a response: its length, time, ETag, and ranges. */
#ifndef HTTP_FILE_ANSWER_H
#define HTTP_FILE_ANSWER_H

#include "http/open_file.h"

/* nginx's form: time and size in hex. */
struct text file_etag(struct request *r, const struct open_file *f);
/* 200 with f's bytes, f->file is let go; the type is by r's uri. ranges: may they be cut from it? */
struct verdict file_answer(struct request *r, struct open_file *f, bool ranges);
/* Why f could not be opened: logged, and as a status. */
struct verdict file_refuse(struct request *r, const struct open_file *f, struct text path);

#endif

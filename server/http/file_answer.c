#include "http/file_answer.h"
#include "http/core_conf.h"
#include "http/response.h"
#include <errno.h>

struct text file_etag(struct request *r, const struct open_file *f)
{
    struct build b = build_in_pool(r->pool, 40, 0);
    build_char(&b, '"');
    build_hex(&b, (uint64_t) f->modified, 1);
    build_char(&b, '-');
    build_hex(&b, (uint64_t) f->size, 1);
    build_char(&b, '"');
    return build_done(&b);
}

struct verdict file_refuse(struct request *r, const struct open_file *f, struct text path)
{
    int status = 500;
    enum log_level level = L_CRIT;
    switch (f->err) {
    case ENOENT: case ENOTDIR: case ENAMETOOLONG: level = L_ERR; status = 404; break;
    case EACCES: case ELOOP: case EMLINK: level = L_ERR; status = 403; break;
    }
    if (status != 404 || http_core(r)->log_not_found.on) request_log(r, level, f->err, "%s \"%.*s\" failed", f->call, TEXT_ARG(path));
    return v_reply(status);
}

struct verdict file_answer(struct request *r, struct open_file *f, bool ranges)
{
    struct chain body = CHAIN_EMPTY;
    r->out.status = 200;
    r->out.length = f->size;
    r->out.modified = f->modified;
    if (http_core(r)->etag.on) r->out.etag = file_etag(r, f);
    request_set_type(r);
    r->out.accept_ranges = ranges;
    if (response_head(r)) {
        if (f->size) chain_add_file(&body, f->file, 0, (size_t) f->size);
        response_body(r, &body, BODY_FINAL);
    }
    chain_file_drop(&f->file);
    return v_over();
}

/* empty_gif: a transparent picture of one pixel. */
#include "modules/module.h"

enum { MODIFIED = 23349600 };     /* as nginx says: 1970-09-28 */

/* GIF89a, 1 x 1, the one colour transparent. */
static const char picture[] = "GIF89a\1\0\1\0\x80\1\0\0\0\0\xff\xff\xff!\xf9\4\1\0\0\1\0,\0\0\0\0\1\0\1\0\0\2\2L\1\0;";

static struct verdict answer(struct request *r)
{
    if (r->method != METHOD_GET && r->method != METHOD_HEAD) return v_reply(405);
    r->out.modified = MODIFIED;
    return response_text(r, 200, T("image/gif"), text_of(picture, sizeof picture - 1), true);
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    (void) d;
    (void) field;
    return location_set_content(cf, answer, NULL);
}

static const struct conf_type type = { "", 0, 0, 0, 0, parse };

static const struct directive rows[] = {
    D_DO(&type, "empty_gif", IN_LOCATION, NULL, NULL, "Answers with a transparent picture of one pixel."),
    { 0 }
};

struct module empty_gif_module = { .name = "empty_gif", .rows = rows };

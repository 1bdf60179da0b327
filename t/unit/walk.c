#include "t/unit/tap.h"
#include "os/walk.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static char top[PATH_MAX / 2];

static const char *in(const char *name)
{
    static char room[PATH_MAX];
    snprintf(room, sizeof room, "%s/%s", top, name);
    return room;
}

static void make_file(const char *name)
{
    int fd = open(in(name), O_WRONLY | O_CREAT, 0644);
    if (fd >= 0) close(fd);
}

static void make_link(const char *to, const char *name)
{
    if (symlink(to, in(name)) != 0) diag("symlink %s: %s", name, strerror(errno));
}

/* 0 or errno */
static int opened(const char *name, size_t trusted, enum walk_links links, int flags)
{
    errno = 0;
    int fd = walk_open(in(name), trusted, links, flags, 0600);
    if (fd < 0) return errno;
    close(fd);
    return 0;
}

static void test_links(void)
{
    static const struct { const char *name; int all, owned, none; } rows[] = {
        { "d/f", 0, 0, 0 }, { "d", 0, 0, 0 }, { "d/", 0, 0, 0 }, { "d//e///g", 0, 0, 0 }, { "d/./f", 0, 0, 0 }, { "d/../d/f", 0, 0, 0 },
        { "d/missing", ENOENT, ENOENT, ENOENT }, { "missing/f", ENOENT, ENOENT, ENOENT }, { "d/f/", ENOTDIR, ENOTDIR, ENOTDIR },
        { "d/f/x", ENOTDIR, ENOTDIR, ENOTDIR }, { "link", 0, 0, ELOOP }, { "to-d/f", 0, 0, ENOTDIR }, { "to-d/e/g", 0, 0, ENOTDIR }, { "to-d/", 0, 0, ENOTDIR },
        { "dangling", ENOENT, ENOENT, ELOOP }, { "circle", ELOOP, ELOOP, ELOOP }, { "to-d/link-back", 0, 0, ENOTDIR },
    };
    for (size_t i = 0; i < countof(rows); i++) {
        is_int(opened(rows[i].name, 0, WALK_ALL, O_RDONLY), rows[i].all, "%s, all links", rows[i].name);
        is_int(opened(rows[i].name, strlen(top), WALK_OWNED, O_RDONLY), rows[i].owned, "%s, owned links", rows[i].name);
        is_int(opened(rows[i].name, strlen(top), WALK_NONE, O_RDONLY), rows[i].none, "%s, no links", rows[i].name);
    }
    is_int(opened("to-d/f", strlen(in("to-d")), WALK_NONE, O_RDONLY), 0, "a link in the trusted part is followed");
    is_int(opened("to-d/link-back", strlen(in("to-d")), WALK_NONE, O_RDONLY), ELOOP, "one behind it is not");
    if (geteuid() == 0) {
        ok(lchown(in("link"), 65534, 65534) == 0, "the link is somebody else's now");
        is_int(opened("link", strlen(top), WALK_OWNED, O_RDONLY), ELOOP, "a link of another owner");
        ok(lchown(in("to-d"), 65534, 65534) == 0, "and that to the folder");
        is_int(opened("to-d/f", strlen(top), WALK_OWNED, O_RDONLY), ELOOP, "a folder by a link of another owner");
    }
}

static void test_making(void)
{
    is_int(opened("d/new", strlen(top), WALK_OWNED, O_WRONLY | O_CREAT | O_EXCL), 0, "a new file");
    is_int(opened("d/new2", strlen(top), WALK_NONE, O_WRONLY | O_CREAT | O_EXCL), 0, "a new file, no links");
    is_int(opened("dangling", strlen(top), WALK_OWNED, O_WRONLY | O_CREAT), ELOOP, "nothing is made through a link");
    ok(access(in("nowhere"), F_OK) != 0, "nothing was made");
}

static void test_parent(void)
{
    const char *name;
    struct stat st;
    int fd = walk_parent(in("d/f"), strlen(top), WALK_NONE, &name);
    ok(fd >= 0, "the folder of d/f");
    is_str(name, "f", "its last name");
    ok(fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0, "it is there");
    if (fd >= 0) close(fd);
    fd = walk_parent("/x", 0, WALK_OWNED, &name);
    ok(fd >= 0, "the folder of /x");
    is_str(name, "x", "its last name");
    if (fd >= 0) close(fd);
    errno = 0;
    ok(walk_parent(in("to-d/f"), strlen(top), WALK_NONE, &name) < 0 && errno == ELOOP, "not by a link");
    static char name_long[PATH_MAX + 10] = "/";
    memset(name_long + 1, 'a', PATH_MAX);
    ok(walk_open(name_long, 0, WALK_NONE, O_RDONLY, 0) < 0 && errno == ENAMETOOLONG, "a name too long");
}

int main(void)
{
    char made[] = "/tmp/walk-XXXXXX", command[64];
    if (!mkdtemp(made) || !realpath(made, top)) return 1;
    mkdir(in("d"), 0755);
    mkdir(in("d/e"), 0755);
    make_file("d/f");
    make_file("d/e/g");
    make_link("d/f", "link");
    make_link("d", "to-d");
    make_link("nowhere", "dangling");
    make_link("circle", "circle");
    make_link("../link", "d/link-back");
    test_links();
    test_making();
    test_parent();
    snprintf(command, sizeof command, "rm -rf %s", made);
    if (system(command) != 0) diag("%s failed", command);
    return done();
}

#include "t/unit/tap.h"
#include "os/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>

static int top;      /* the folder of this test */
static const char *call;

static void make_file(int at, const char *name, const char *bytes)
{
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    if (fd < 0 || write(fd, bytes, strlen(bytes)) < 0) diag("%s: %s", name, strerror(errno));
    if (fd >= 0) close(fd);
}

static bool is_there(const char *name)
{
    struct stat st;
    return fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void reads(const char *name, const char *want)
{
    char room[64] = "";
    int fd = openat(top, name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, room, sizeof room - 1);
    if (fd >= 0) close(fd);
    ok(n >= 0 && strcmp(room, want) == 0, "%s is what it should be", name);
}

static void make_folder(void)
{
    mkdirat(top, "d", 0750);
    mkdirat(top, "d/e", 0700);
    mkdirat(top, "d/empty", 0755);
    make_file(top, "d/f", "f");
    make_file(top, "d/e/g", "g");
    make_file(top, "outside", "outside");
    mkdirat(top, "kept", 0755);
    make_file(top, "kept/k", "k");
    if (symlinkat("../kept", top, "d/link") || symlinkat("../outside", top, "d/link-f")) diag("symlink: %s", strerror(errno));
    if (mkfifoat(top, "d/fifo", 0600)) diag("mkfifo: %s", strerror(errno));
}

static void test_copy(void)
{
    struct stat st;
    is_int(tree_copy(top, "d", top, "copy", &call), 0, "a folder copied");
    reads("copy/f", "f");
    reads("copy/e/g", "g");
    ok(is_there("copy/empty"), "an empty folder in it");
    ok(!is_there("copy/link") && !is_there("copy/link-f") && !is_there("copy/fifo"), "without links and what is no file");
    ok(fstatat(top, "copy", &st, 0) == 0 && (st.st_mode & 0777) == 0750, "with its permissions");
    ok(fstatat(top, "copy/f", &st, 0) == 0 && (st.st_mode & 0777) == 0640, "those of files too");
    ok(tree_copy(top, "d", top, "copy", &call) != 0 && errno == EEXIST, "not onto one that is there");
    is_str(call, "mkdir()", "and says why");
    int d = openat(top, "d", O_RDONLY | O_DIRECTORY);
    is_int(tree_copy(top, "d", d, "inner", &call), 0, "into itself: it ends");
    ok(is_there("d/inner/e/g") && !is_there("d/inner/inner"), "without the copy");
    close(d);
    ok(tree_copy(top, "outside", top, "x", &call) != 0 && errno == ENOTDIR, "a file is no folder");
    ok(tree_copy(top, "none", top, "x", &call) != 0 && errno == ENOENT, "nor is what is not there");
}

static void test_copy_file(void)
{
    struct stat st;
    int fd = openat(top, "outside", O_RDONLY);
    make_file(top, "old", "old");
    is_int(tree_copy_file(fd, top, "old", 0604, 1000000000, &call), 0, "a file over another");
    reads("old", "outside");
    ok(fstatat(top, "old", &st, 0) == 0 && (st.st_mode & 0777) == 0604 && st.st_mtime == 1000000000, "its permissions and time");
    ok(tree_copy_file(fd, top, "kept", 0600, 0, &call) != 0 && errno == EISDIR, "not over a folder");
    is_str(call, "rename()", "and says why");
    close(fd);
}

static void test_remove(void)
{
    is_int(tree_remove(top, "d", &call), 0, "a folder removed");
    ok(!is_there("d"), "it is gone");
    reads("kept/k", "k");
    reads("outside", "outside");
    is_int(tree_remove(top, "copy", &call), 0, "the copy too");
    if (symlinkat("kept", top, "to-kept")) diag("symlink: %s", strerror(errno));
    is_int(tree_remove(top, "to-kept", &call), 0, "a link removed");
    reads("kept/k", "k");
    ok(tree_remove(top, "to-kept", &call) != 0 && errno == ENOENT, "nothing more to remove");
}

static void test_deep(void)
{
    int at = dup(top);
    for (int i = 0; i < 300 && at >= 0; i++) {
        mkdirat(at, "x", 0700);
        int next = openat(at, "x", O_RDONLY | O_DIRECTORY);
        close(at);
        at = next;
    }
    close(at);
    ok(tree_copy(top, "x", top, "y", &call) != 0 && errno == ELOOP, "too deep to copy");
    ok(tree_remove(top, "x", &call) != 0 && errno == ELOOP, "or to remove");
}

int main(void)
{
    char made[] = "/tmp/tree-XXXXXX", command[64];
    if (!mkdtemp(made) || (top = open(made, O_RDONLY | O_DIRECTORY)) < 0) return 1;
    make_folder();
    test_copy();
    test_copy_file();
    test_remove();
    test_deep();
    snprintf(command, sizeof command, "rm -rf %s", made);
    if (system(command) != 0) diag("%s failed", command);
    return done();
}

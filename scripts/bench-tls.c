/*
 * bench-tls: a client over TLS, for scripts/bench.
 *   bench-tls idle PORT PATH N          N connections, a request on each; says "ready", holds them until stdin ends
 *   bench-tls shake PORT N new|resumed  N connections one after the other, each with one request and closed; prints how many were resumed
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static SSL_CTX *ctx;
static SSL_SESSION *last;

static int keep(SSL *ssl, SSL_SESSION *s) { (void) ssl; SSL_SESSION_free(last); last = s; return 1; }
static void fail(const char *what) { perror(what); exit(1); }

static SSL *join(int port, int resume)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((unsigned short) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *) &to, sizeof to)) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (resume && last) SSL_set_session(ssl, last);
    if (SSL_connect(ssl) != 1) { fprintf(stderr, "handshake failed\n"); exit(1); }
    return ssl;
}

static void ask(SSL *ssl, const char *path, int keepalive)
{
    char room[8192];
    int n = snprintf(room, sizeof room, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, keepalive ? "" : "Connection: close\r\n");
    if (SSL_write(ssl, room, n) != n) fail("write");
    while ((n = SSL_read(ssl, room, sizeof room)) > 0 && keepalive && !(n >= 100)) { }
    if (keepalive && n <= 0) { fprintf(stderr, "no answer\n"); exit(1); }
}

int main(int argc, char **argv)
{
    if (argc < 4) return 2;
    ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep);
    int port = atoi(argv[2]);
    if (!strcmp(argv[1], "idle")) {
        int count = atoi(argv[4]);
        for (int i = 0; i < count; i++) ask(join(port, 0), argv[3], 1);
        printf("ready\n");
        fflush(stdout);
        while (read(0, &count, 1) > 0) { }
        return 0;
    }
    int resumed = 0;
    for (int i = 0, n = atoi(argv[3]); i < n; i++) {
        SSL *ssl = join(port, argc > 4 && !strcmp(argv[4], "resumed"));
        ask(ssl, "/100", 0);
        resumed += SSL_session_reused(ssl);
        SSL_shutdown(ssl);
        close(SSL_get_fd(ssl));
        SSL_free(ssl);
    }
    printf("%d\n", resumed);
    return 0;
}

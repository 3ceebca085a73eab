// The limit of a request over a WebSocket: an echo with libwebsockets, the library that the services use.
// usage: ws_echo; prints its port on 127.0.0.1; ends when its input does.
#include <libwebsockets.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct session { size_t length; unsigned char text[LWS_PRE + 4096]; };
static atomic_int ended;

static int serve(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
    struct session *session = user;
    if (reason == LWS_CALLBACK_RECEIVE && length <= 4096) {
        memcpy(session->text + LWS_PRE, in, length);
        session->length = length;
        lws_callback_on_writable(wsi);
    } else if (reason == LWS_CALLBACK_SERVER_WRITEABLE && session->length) {
        size_t all = session->length;
        session->length = 0;
        return lws_write(wsi, session->text + LWS_PRE, all, LWS_WRITE_TEXT) < (int)all ? -1 : 0;
    }
    return 0;
}

static void *watch(void *context) {
    char one;
    while (read(0, &one, 1) > 0) {}
    ended = 1;
    lws_cancel_service(context);
    return NULL;
}

int main(void) {
    const struct lws_protocols protocols[] = {{"janus-protocol", serve, sizeof(struct session), 4096, 0, NULL, 0}, {NULL, NULL, 0, 0, 0, NULL, 0}};
    struct lws_context_creation_info info = {.iface = "127.0.0.1", .protocols = protocols, .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS};
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    struct lws_vhost *host = context ? lws_create_vhost(context, &info) : NULL;
    if (!host) return 1;
    printf("%d\n", lws_get_vhost_listen_port(host));
    fflush(stdout);
    pthread_t thread;
    pthread_create(&thread, NULL, watch, context);
    while (!ended && lws_service(context, 0) >= 0) {}
    lws_context_destroy(context);
    return 0;
}

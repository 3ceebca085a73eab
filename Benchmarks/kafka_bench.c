// Both ends of the signal measurement, on librdkafka with the services' own settings, so that neither is what is measured.
// usage: kafka_bench echo BOOTSTRAP THERE BACK                                    prints "ready"; passes records on until its input ends
//        kafka_bench ask BOOTSTRAP REQUESTS RESPONSES RATE COUNT FIRST GROUPS [OPTIONS]   COUNT requests at RATE/s (0: all at once)
// Requests create the groups FIRST … FIRST+GROUPS-1 in turn, keyed by group, with the options (JSON). `ask` prints one line of JSON.
#define _GNU_SOURCE
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *bootstrap, const char *group) {
    const char *producer[] = {"enable.idempotence", "true", "acks", "all", "partitioner", "murmur2_random", "linger.ms", "0",
        "message.timeout.ms", "0", "queue.buffering.max.messages", "500000", NULL};
    const char *consumer[] = {"enable.auto.offset.store", "false", "auto.offset.reset", "latest", "enable.partition.eof", "true",
        "auto.commit.interval.ms", "500", "fetch.error.backoff.ms", "100", "partition.assignment.strategy", "cooperative-sticky", NULL};
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof error);
    if (group) rd_kafka_conf_set(conf, "group.id", group, error, sizeof error);
    for (const char **p = type == RD_KAFKA_PRODUCER ? producer : consumer; *p; p += 2) {
        if (rd_kafka_conf_set(conf, p[0], p[1], error, sizeof error)) { fprintf(stderr, "%s\n", error); exit(1); }
    }
    rd_kafka_t *made = rd_kafka_new(type, conf, error, sizeof error);
    if (!made) { fprintf(stderr, "%s\n", error); exit(1); }
    return made;
}

// MARK: The echo

static int echo(const char *bootstrap, const char *there, const char *back) {
    char group[64];
    snprintf(group, sizeof group, "bench-echo-%d", getpid());
    rd_kafka_t *consumer = client(RD_KAFKA_CONSUMER, bootstrap, group), *producer = client(RD_KAFKA_PRODUCER, bootstrap, NULL);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, there, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(consumer, topics);
    struct pollfd input = {0, POLLIN, 0};
    int ready = 0;
    for (;;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, 100);
        rd_kafka_poll(producer, 0);
        if (!m) {
            char word;
            if (poll(&input, 1, 0) && read(0, &word, 1) <= 0) break;
            continue;
        }
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && !ready) { ready = 1; printf("ready\n"); fflush(stdout); }
        if (!m->err) {
            rd_kafka_headers_t *headers = NULL;
            if (rd_kafka_message_headers(m, &headers) == 0) headers = rd_kafka_headers_copy(headers);
            rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(back), RD_KAFKA_V_KEY(m->key, m->key_len), RD_KAFKA_V_VALUE(m->payload, m->len),
                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
            rd_kafka_offset_store(m->rkt, m->partition, m->offset);
        }
        rd_kafka_message_destroy(m);
    }
    rd_kafka_consumer_close(consumer);
    return 0;
}

// MARK: The one who asks

static int64_t *sent_at, *took;
static int count, answered, good;
static volatile int last_sent, partitions_read;
static uint32_t nonce;
static int64_t last_answer;

static void take(rd_kafka_message_t *m) {
    rd_kafka_headers_t *headers;
    const void *value;
    size_t size;
    unsigned run, index;
    char text[40] = "";
    if (rd_kafka_message_headers(m, &headers) || rd_kafka_header_get_last(headers, "request-id", &value, &size) || size >= sizeof text) return;
    memcpy(text, value, size);
    if (sscanf(text, "bench-%x-%u", &run, &index) != 2 || run != nonce || index >= (unsigned)count || took[index]) return;
    last_answer = now();
    took[index] = last_answer - sent_at[index];
    answered++;
    good += memmem(m->payload, m->len, "\"code\":0", 8) || memmem(m->payload, m->len, "\"code\": 0", 9);
}

static void *listen_to_answers(void *consumer) {
    for (int64_t patience = 0; answered < count;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, 50);
        if (last_sent && !patience) patience = now() + 60000000000LL;
        if (patience && now() > patience) break;
        if (!m) continue;
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) partitions_read++;
        if (!m->err) take(m);
        rd_kafka_message_destroy(m);
    }
    return NULL;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int ask(char **words) {
    int rate = atoi(words[4]), groups = atoi(words[7]);
    int64_t first = atoll(words[6]);
    const char *options = words[8] ? words[8] : "{}";
    count = atoi(words[5]);
    sent_at = calloc(count, sizeof *sent_at);
    took = calloc(count, sizeof *took);
    nonce = (uint32_t)now() ^ (uint32_t)getpid() << 16;
    rd_kafka_t *producer = client(RD_KAFKA_PRODUCER, words[1], NULL), *consumer = client(RD_KAFKA_CONSUMER, words[1], "bench-ask");
    rd_kafka_poll_set_consumer(consumer);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(consumer, words[3], NULL), *requests = rd_kafka_topic_new(producer, words[2], NULL);
    if (rd_kafka_metadata(consumer, 0, topic, &metadata, 10000)) return 1;
    int partitions = metadata->topics[0].partition_cnt;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++) rd_kafka_topic_partition_list_add(list, words[3], i)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_assign(consumer, list);
    rd_kafka_metadata(producer, 0, requests, &metadata, 10000);
    pthread_t listener;
    pthread_create(&listener, NULL, listen_to_answers, consumer);
    for (int i = 0; i < 400 && partitions_read < partitions; i++) usleep(25000);
    int64_t start = now(), next = start;
    for (int i = 0; i < count; i++) {
        char key[32], value[512], request[40];
        int64_t gid = first + i % groups;
        int keyed = snprintf(key, sizeof key, "%lld", (long long)gid), named = snprintf(request, sizeof request, "bench-%x-%u", nonce, i);
        int size = snprintf(value, sizeof value, "{\"msg_type\":2,\"ip\":\"\",\"signal_msg\":{\"signal_type\":1,\"create_group_req\":"
            "{\"gid\":%lld,\"group_name\":\"B\",\"dispatcher_id\":1,\"options\":%s}}}", (long long)gid, options);
        sent_at[i] = now();
        while (rd_kafka_producev(producer, RD_KAFKA_V_RKT(requests), RD_KAFKA_V_KEY(key, keyed), RD_KAFKA_V_VALUE(value, size),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADER("request-id", request, named), RD_KAFKA_V_END)) {
            rd_kafka_poll(producer, 10);
        }
        rd_kafka_poll(producer, 0);
        if (!rate) continue;
        next += 1000000000LL / rate;
        struct timespec until = {next / 1000000000, next % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    last_sent = 1;
    rd_kafka_flush(producer, 30000);
    pthread_join(listener, NULL);
    int n = 0;
    for (int i = 0; i < count; i++) if (took[i]) took[n++] = took[i];
    qsort(took, n, sizeof *took, ascending);
    printf("{\"sent\": %d, \"answered\": %d, \"good\": %d, \"p50\": %f, \"p99\": %f, \"max\": %f, \"seconds\": %f}\n", count, answered, good,
        n ? took[n / 2] / 1e6 : 0, n ? took[n * 99 / 100] / 1e6 : 0, n ? took[n - 1] / 1e6 : 0, (last_answer - start) / 1e9);
    fflush(stdout);
    _exit(answered < count);
}

int main(int argc, char **argv) {
    if (argc == 5 && !strcmp(argv[1], "echo")) return echo(argv[2], argv[3], argv[4]);
    if ((argc == 9 || argc == 10) && !strcmp(argv[1], "ask")) return ask(argv + 1);
    fprintf(stderr, "usage: kafka_bench echo BOOTSTRAP THERE BACK | ask BOOTSTRAP REQUESTS RESPONSES RATE COUNT FIRST GROUPS [OPTIONS]\n");
    return 2;
}

/* A PLC that is a Modbus TCP server (libmodbus): 100 holding registers, and a program outside that reads and writes them.
 *
 * stdin: "read", or "write ADDRESS VALUE..."; every line is answered with all registers. Connections: up to 8.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus/modbus.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

enum { REGISTERS = 100, CLIENTS = 8 };

static modbus_t *context;
static modbus_mapping_t *map;
static int clients[CLIENTS], client_count;

static void tell(void) {
    for (int i = 0; i < REGISTERS; i++)
        printf("%d%c", map->tab_registers[i], i + 1 < REGISTERS ? ' ' : '\n');
}

static void obey(char *line) {
    char *word = strtok(line, " ");
    if (word != NULL && !strcmp(word, "write")) {
        int address = atoi(strtok(NULL, " "));
        while ((word = strtok(NULL, " ")) != NULL && address < REGISTERS)
            map->tab_registers[address++] = atoi(word);
    }
    tell();
}

/* Complete lines, read without stdio so that select sees what is left. */
static void listen_to_stdin(void) {
    static char text[2048];
    static int held;
    int got = read(0, text + held, sizeof text - 1 - held);
    if (got <= 0)
        exit(0);
    held += got;
    char *end;
    while ((end = memchr(text, '\n', held)) != NULL) {
        int length = end + 1 - text;
        *end = 0;
        obey(text);
        held -= length;
        memmove(text, text + length, held);
    }
}

static void serve(int index) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(context, clients[index]);
    int length = modbus_receive(context, query);
    if (length > 0)
        modbus_reply(context, query, length, map);
    if (length < 0) {
        close(clients[index]);
        clients[index] = clients[--client_count];
    }
}

int main(void) {
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    context = modbus_new_tcp("127.0.0.1", 0);
    map = modbus_mapping_new(0, 0, REGISTERS, 0);
    int listener = context && map ? modbus_tcp_listen(context, CLIENTS) : -1;
    if (listener < 0 || getsockname(listener, (struct sockaddr *)&bound, &size)) {
        fprintf(stderr, "cannot listen: %s\n", modbus_strerror(errno));
        return 1;
    }
    printf("listening %d\n", ntohs(bound.sin_port));
    for (;;) {
        fd_set ready;
        int highest = listener;
        FD_ZERO(&ready);
        FD_SET(0, &ready);
        FD_SET(listener, &ready);
        for (int i = 0; i < client_count; i++) {
            FD_SET(clients[i], &ready);
            highest = clients[i] > highest ? clients[i] : highest;
        }
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0)
            return 1;
        if (FD_ISSET(0, &ready))
            listen_to_stdin();
        for (int i = client_count - 1; i >= 0; i--)
            if (FD_ISSET(clients[i], &ready))
                serve(i);
        if (FD_ISSET(listener, &ready) && client_count < CLIENTS) {
            int fd = listener;
            if (modbus_tcp_accept(context, &fd) >= 0)
                clients[client_count++] = modbus_get_socket(context);
        }
    }
}

/* Stands in iroh-relay's place for all that does not need its protocol: it has
 * the same command line and port, runs until it is ended, and says its NAME to
 * whoever asks by HTTP. Built by t/9850-iroh.t, static. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef NAME
#define NAME "stand-in"
#endif

enum { PORT = 3340 };

static void answer(int fd)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n%s";
	char request[4096];

	if (read(fd, request, sizeof(request)) > 0)
		dprintf(fd, text, strlen(NAME), NAME);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons(PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 3 || strcmp(argv[1], "--config-path") != 0 ||
	    access(argv[2], R_OK) < 0) {
		fprintf(stderr, "usage: --config-path FILE\n");
		return 2;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(fd, 16) < 0) {
		perror("port 3340");
		return 1;
	}
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c >= 0)
			answer(c);
	}
}

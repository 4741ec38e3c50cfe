# guest/ticket: a ticket lock that all processors fight for.
TICKET := $(O)/guest/ticket.elf

guests: $(TICKET)

$(TICKET): guest/ticket/start.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) $(GUEST_LINK) -Wl,-Ttext=0x101000 -o $@ $<

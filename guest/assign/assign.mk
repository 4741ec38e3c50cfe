# guest/assign: the driver of an assigned device, and one interrupt of each kind.
ASSIGN_OBJ := $(addprefix $(O)/guest/assign/,main.o start.o)
ASSIGN     := $(O)/guest/assign.elf
guests: $(ASSIGN)

$(O)/guest/assign/main.o: guest/assign/main.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -I. -MMD -MP -c -o $@ $<
$(O)/guest/assign/start.o: guest/assign/start.S
	@mkdir -p $(@D)
	$(CC) $(GUEST_ARCH) -g -MMD -MP -c -o $@ $<
$(ASSIGN): $(ASSIGN_OBJ) $(RUNTIME) guest/minios/kernel.ld
	$(CC) $(GUEST_LINK) -Wl,-T,guest/minios/kernel.ld -o $@ $(ASSIGN_OBJ) $(RUNTIME)

-include $(ASSIGN_OBJ:.o=.d)

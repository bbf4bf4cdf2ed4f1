import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Trades to candles of a second and a minute and an exponential average of each, by Kafka Streams.
 *
 * Arguments: servers, topic, output topic of candles, of averages, trades not counted, trades in all, reader
 * ("generic" or "direct"), file of the trade's schema, folder for its state. Prints one JSON object.
 *
 * State: one value a symbol, packed, in a cached in-memory store with a changelog. A candle is written when the
 * first trade after it comes.
 */
public class KafkaStreamsPeer {
  static final long[] LENGTHS = {1_000_000L, 60_000_000L};
  static final byte[][] INTERVALS = {{'1', 's'}, {'1', 'm'}};
  static final byte[] AVERAGE = {'e', 'm', 'a', '_', '2', '0'};
  static final int PERIOD = 20;
  static final int TRADE_ID = 1, CANDLE_ID = 18, VALUE_ID = 8;
  // One interval of a packed state.
  static final int OPEN_TIME = 0, OPEN = 8, HIGH = 16, LOW = 24, CLOSE = 32, VOLUME = 40, QUOTE = 48, BUY = 56;
  static final int COUNT = 64, FIRST = 72, LAST = 80, SEEN = 88, EMA = 96, SIZE = 104;

  static long first, last, seen, begunNs, begunCpuNs;
  static String reader;
  static Schema schema;

  static final OperatingSystemMXBean SYSTEM =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  static void count() {
    seen++;
    if (seen == first) {
      begunNs = System.nanoTime();
      begunCpuNs = SYSTEM.getProcessCpuTime();
    } else if (seen == last) {
      double seconds = (System.nanoTime() - begunNs) / 1e9;
      double cpu = (SYSTEM.getProcessCpuTime() - begunCpuNs) / 1e9;
      System.out.printf("{\"trades\": %d, \"seconds\": %f, \"cpu_s\": %f}%n", last - first, seconds, cpu);
      System.out.flush();
      Runtime.getRuntime().halt(0);
    }
  }

  /** One trade, decoded into fields that are used again. */
  static final class Trade {
    double price, size;
    boolean isBuy;
    long time, sequence;
    private byte[] data;
    private int at;
    private BinaryDecoder decoder;
    private GenericRecord record;
    private final GenericDatumReader<GenericRecord> generic = new GenericDatumReader<>(schema);

    private long varint() {
      long found = 0;
      for (int shift = 0; ; shift += 7) {
        byte next = data[at++];
        found |= (next & 0x7FL) << shift;
        if (next >= 0) return (found >>> 1) ^ -(found & 1);
      }
    }

    private double number() {
      double found = (double) DOUBLES.get(data, at);
      at += 8;
      return found;
    }

    /** As generated classes decode, without making the texts that nobody needs. */
    void readDirectly(byte[] value) {
      data = value;
      at = 5;
      for (int text = 0; text < 3; text++) {
        int length = (int) varint();
        at += length;
      }
      sequence = varint() == 0 ? -1 : varint();
      price = number();
      size = number();
      isBuy = varint() == 1;
      time = varint();
    }

    void readGenerically(byte[] value) throws java.io.IOException {
      decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, decoder);
      record = generic.read(record, decoder);
      Object number = record.get(3);
      sequence = number == null ? -1 : (Long) number;
      price = (Double) record.get(4);
      size = (Double) record.get(5);
      isBuy = record.get(6).toString().equals("buy");
      time = (Long) record.get(7);
    }
  }

  static final java.lang.invoke.VarHandle DOUBLES =
      java.lang.invoke.MethodHandles.byteArrayViewVarHandle(double[].class, ByteOrder.LITTLE_ENDIAN);

  /** Writes Avro in the Confluent framing. */
  static final class Writer {
    private final byte[] data = new byte[512];
    private int at;

    Writer start(int id, Bytes key, byte[] interval) {
      at = 0;
      data[at++] = 0;
      data[at++] = 0;
      data[at++] = 0;
      data[at++] = 0;
      data[at++] = (byte) id;
      byte[] name = key.get();
      int colon = 0;
      while (name[colon] != ':') colon++;
      text(name, 0, colon);
      text(name, colon + 1, name.length - colon - 1);
      return text(interval, 0, interval.length);
    }

    Writer text(byte[] source, int from, int length) {
      number(length);
      System.arraycopy(source, from, data, at, length);
      at += length;
      return this;
    }

    Writer number(long value) {
      long rest = (value << 1) ^ (value >> 63);
      while ((rest & ~0x7FL) != 0) {
        data[at++] = (byte) (rest & 0x7F | 0x80);
        rest >>>= 7;
      }
      data[at++] = (byte) rest;
      return this;
    }

    Writer real(double value) {
      DOUBLES.set(data, at, value);
      at += 8;
      return this;
    }

    Writer flag(int value) {
      data[at++] = (byte) value;
      return this;
    }

    byte[] done() {
      return java.util.Arrays.copyOf(data, at);
    }
  }

  public static class Candles implements Processor<Bytes, byte[], Bytes, byte[]> {
    private ProcessorContext<Bytes, byte[]> context;
    private KeyValueStore<Bytes, byte[]> store;
    private final Trade trade = new Trade();
    private final Writer writer = new Writer();
    private final boolean isGeneric = reader.equals("generic");

    @Override
    public void init(ProcessorContext<Bytes, byte[]> given) {
      context = given;
      store = context.getStateStore("candles");
    }

    @Override
    public void process(Record<Bytes, byte[]> record) {
      byte[] value = record.value();
      if (value[4] != TRADE_ID) return;
      try {
        if (isGeneric) trade.readGenerically(value);
        else trade.readDirectly(value);
      } catch (java.io.IOException error) {
        throw new java.io.UncheckedIOException(error);
      }
      byte[] held = store.get(record.key());
      byte[] packed = held == null ? new byte[SIZE * LENGTHS.length] : held.clone();
      ByteBuffer state = ByteBuffer.wrap(packed).order(ByteOrder.LITTLE_ENDIAN);
      for (int index = 0; index < LENGTHS.length; index++) fold(record, state, index);
      store.put(record.key(), packed);
      count();
    }

    private void fold(Record<Bytes, byte[]> record, ByteBuffer state, int index) {
      int base = index * SIZE;
      long opened = trade.time - trade.time % LENGTHS[index];
      long current = state.getLong(base + OPEN_TIME);
      if (opened < current) return;
      double price = trade.price, size = trade.size;
      if (opened == current) {
        if (price > state.getDouble(base + HIGH)) state.putDouble(base + HIGH, price);
        if (price < state.getDouble(base + LOW)) state.putDouble(base + LOW, price);
        state.putDouble(base + CLOSE, price);
        state.putDouble(base + VOLUME, state.getDouble(base + VOLUME) + size);
        state.putDouble(base + QUOTE, state.getDouble(base + QUOTE) + price * size);
        if (trade.isBuy) state.putDouble(base + BUY, state.getDouble(base + BUY) + size);
        state.putLong(base + COUNT, state.getLong(base + COUNT) + 1);
        state.putLong(base + LAST, trade.sequence);
        return;
      }
      if (current > 0) close(record, state, index, current);
      state.putLong(base + OPEN_TIME, opened);
      state.putDouble(base + OPEN, price).putDouble(base + HIGH, price);
      state.putDouble(base + LOW, price).putDouble(base + CLOSE, price);
      state.putDouble(base + VOLUME, size).putDouble(base + QUOTE, price * size);
      state.putDouble(base + BUY, trade.isBuy ? size : 0);
      state.putLong(base + COUNT, 1).putLong(base + FIRST, trade.sequence).putLong(base + LAST, trade.sequence);
    }

    private void close(Record<Bytes, byte[]> record, ByteBuffer state, int index, long opened) {
      int base = index * SIZE;
      double close = state.getDouble(base + CLOSE), volume = state.getDouble(base + VOLUME);
      double quote = state.getDouble(base + QUOTE);
      writer.start(CANDLE_ID, record.key(), INTERVALS[index]).number(opened).number(opened + LENGTHS[index]);
      writer.real(state.getDouble(base + OPEN)).real(state.getDouble(base + HIGH));
      writer.real(state.getDouble(base + LOW)).real(close).real(volume).real(quote);
      writer.real(state.getDouble(base + BUY)).number(state.getLong(base + COUNT));
      writer.flag(2).number(state.getLong(base + FIRST)).flag(2).number(state.getLong(base + LAST));
      writer.number(0).flag(1).flag(2).real(quote / volume).flag(0);
      context.forward(new Record<>(record.key(), writer.done(), record.timestamp()), "out-candles");
      long seen = Math.min(state.getLong(base + SEEN) + 1, PERIOD + 1);
      double average = state.getDouble(base + EMA);
      if (seen <= PERIOD) average += (close - average) / seen;
      else average += (close - average) * 2 / (PERIOD + 1);
      state.putLong(base + SEEN, seen).putDouble(base + EMA, average);
      if (seen < PERIOD) return;
      writer.start(VALUE_ID, record.key(), INTERVALS[index]).number(opened);
      writer.text(AVERAGE, 0, AVERAGE.length).real(average).number(0).flag(1);
      context.forward(new Record<>(record.key(), writer.done(), record.timestamp()), "out-averages");
    }
  }

  public static void main(String[] given) throws Exception {
    first = Long.parseLong(given[4]);
    last = Long.parseLong(given[5]);
    reader = given[6];
    schema = new Schema.Parser().parse(Files.readString(Path.of(given[7])));
    Properties settings = new Properties();
    settings.put("application.id", "peer-" + System.nanoTime());
    settings.put("bootstrap.servers", given[0]);
    settings.put("state.dir", given[8]);
    settings.put("num.stream.threads", "1");
    settings.put("auto.offset.reset", "earliest");
    settings.put("commit.interval.ms", "2000");
    settings.put("statestore.cache.max.bytes", String.valueOf(64 << 20));
    settings.put("buffered.records.per.partition", "20000");
    settings.put("replication.factor", "1");
    settings.put("consumer.max.poll.records", "10000");
    settings.put("consumer.max.partition.fetch.bytes", String.valueOf(2 << 20));
    settings.put("producer.linger.ms", "20");
    settings.put("producer.batch.size", String.valueOf(256 << 10));
    settings.put("producer.compression.type", "lz4");
    settings.put("producer.acks", "all");
    Topology topology = new Topology();
    topology.addSource("in", Serdes.Bytes().deserializer(), Serdes.ByteArray().deserializer(), given[1]);
    topology.addProcessor("candles", Candles::new, "in");
    topology.addStateStore(
        Stores.keyValueStoreBuilder(
                Stores.inMemoryKeyValueStore("candles"), Serdes.Bytes(), Serdes.ByteArray())
            .withCachingEnabled()
            .withLoggingEnabled(java.util.Map.of()),
        "candles");
    topology.addSink(
        "out-candles", given[2], Serdes.Bytes().serializer(), Serdes.ByteArray().serializer(), "candles");
    topology.addSink(
        "out-averages", given[3], Serdes.Bytes().serializer(), Serdes.ByteArray().serializer(), "candles");
    KafkaStreams streams = new KafkaStreams(topology, settings);
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          Runtime.getRuntime().halt(1);
          return null;
        });
    streams.start();
  }
}

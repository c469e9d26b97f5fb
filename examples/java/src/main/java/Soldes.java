import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * A sample consumer of the state topic `creances.soldes`: where each créance stands, in a file of lines.
 *
 * <p>soldes.tsv holds the topic's id (`!`), one line a partition (`@`, number, next offset), one a base (`#`, base, epoch) and one a créance
 * (reference, base, version, caisse, restant dû, en cours, trop-perçu). It is replaced as a whole after each batch, so
 * that balances and offsets always agree. A database of yours does the same in one transaction.
 *
 * <p>What it shows: a version that is not above the one held is ignored; a later epoch (the service was restored from an
 * older backup) replaces all that its base said before, and an earlier one is ignored; marks and unknown types are no
 * error; a topic created again has another id, and is read from its start. Nothing is ever deleted: no tombstones.
 */
public final class Soldes {
    private static final String TYPE = "fr.assurance-maladie.creances.SoldeDeCreance.v";
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Where a créance stands; centimes. */
    private record Solde(String base, long version, String caisse, long restantDu, long enCours, long tropPercu) {}

    private final Map<String, Solde> soldes = new TreeMap<>();
    private final Map<String, String> epoques = new TreeMap<>();
    private final Map<Integer, Long> suivants = new TreeMap<>();
    private String topicId = "";

    public static void main(String[] arguments) throws Exception {
        String topic = arguments[1];
        Path fichier = Path.of(arguments[2]);
        boolean jusquAuBout = arguments.length > 3 && arguments[3].equals("--until-idle");
        Soldes soldes = new Soldes();
        soldes.lire(fichier);
        Properties reglages = new Properties();
        reglages.put("bootstrap.servers", arguments[0]);
        reglages.put("enable.auto.commit", "false"); // The offsets are in our file, with the balances.
        reglages.put("auto.offset.reset", "earliest"); // What is compacted away was replaced by what follows.
        reglages.put("allow.auto.create.topics", "false");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
            String id = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId().toString();
            if (!id.equals(soldes.topicId)) {
                soldes.suivants.clear();
                soldes.topicId = id;
            }
        }
        try (KafkaConsumer<byte[], byte[]> consommateur =
                new KafkaConsumer<>(reglages, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            consommateur.partitionsFor(topic).forEach(p -> partitions.add(new TopicPartition(topic, p.partition())));
            consommateur.assign(partitions);
            for (TopicPartition partition : partitions) {
                consommateur.seek(partition, soldes.suivants.getOrDefault(partition.partition(), 0L));
            }
            while (true) {
                ConsumerRecords<byte[], byte[]> lot = consommateur.poll(Duration.ofSeconds(5));
                if (jusquAuBout && lot.isEmpty()) {
                    return;
                }
                for (ConsumerRecord<byte[], byte[]> message : lot) {
                    soldes.prendre(message);
                }
                if (!lot.isEmpty()) {
                    soldes.ecrire(fichier);
                }
            }
        }
    }

    /** Applies one message, in the order of its partition. */
    private void prendre(ConsumerRecord<byte[], byte[]> message) throws IOException {
        suivants.put(message.partition(), message.offset() + 1);
        String[] source = enTete(message, "ce_source").split("/epoques/");
        String base = source[0];
        String connue = epoques.getOrDefault(base, "");
        if (source[1].compareTo(connue) > 0) { // A new epoch: what the earlier one said is of no créance any more.
            soldes.values().removeIf(solde -> solde.base().equals(base));
            epoques.put(base, source[1]);
        } else if (source[1].compareTo(connue) < 0) {
            return;
        }
        if (!enTete(message, "ce_type").startsWith(TYPE)) {
            return;
        }
        JsonNode dit = JSON.readTree(message.value());
        Solde nouveau =
                new Solde(
                        base,
                        dit.get("version").asLong(),
                        dit.get("caisse").asText(),
                        dit.get("restant_du_centimes").asLong(),
                        dit.get("en_cours_centimes").asLong(),
                        dit.get("trop_percu_centimes").asLong());
        soldes.merge(dit.get("reference").asText(), nouveau, (tenu, lu) -> lu.version() > tenu.version() ? lu : tenu);
    }

    private static String enTete(ConsumerRecord<byte[], byte[]> message, String nom) {
        return new String(message.headers().lastHeader(nom).value(), StandardCharsets.UTF_8);
    }

    private void lire(Path fichier) throws IOException {
        if (!Files.exists(fichier)) {
            return;
        }
        for (String ligne : Files.readAllLines(fichier)) {
            String[] c = ligne.split("\t");
            switch (c[0]) {
                case "!" -> topicId = c[1];
                case "@" -> suivants.put(Integer.valueOf(c[1]), Long.valueOf(c[2]));
                case "#" -> epoques.put(c[1], c[2]);
                default -> soldes.put(
                        c[0],
                        new Solde(
                                c[1], Long.parseLong(c[2]), c[3],
                                Long.parseLong(c[4]), Long.parseLong(c[5]), Long.parseLong(c[6])));
            }
        }
    }

    private void ecrire(Path fichier) throws IOException {
        List<String> lignes = new ArrayList<>(List.of("!\t" + topicId));
        suivants.forEach((partition, suivant) -> lignes.add("@\t" + partition + "\t" + suivant));
        epoques.forEach((base, epoque) -> lignes.add("#\t" + base + "\t" + epoque));
        soldes.forEach(
                (reference, s) ->
                        lignes.add(
                                String.join(
                                        "\t", reference, s.base(), "" + s.version(), s.caisse(),
                                        "" + s.restantDu(), "" + s.enCours(), "" + s.tropPercu())));
        Path neuf = fichier.resolveSibling(fichier.getFileName() + ".neuf");
        Files.write(neuf, lignes);
        Files.move(neuf, fichier, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }
}

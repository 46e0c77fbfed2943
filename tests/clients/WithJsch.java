// What a gestionale in Java with a library of ten years ago does.
// usage: java -cp jsch.jar WithJsch.java PORT USER PASSWORD REMOTE_BATCH; see with_paramiko.py
import com.jcraft.jsch.ChannelSftp;
import com.jcraft.jsch.JSch;
import com.jcraft.jsch.Session;
import com.jcraft.jsch.SftpException;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.nio.file.Files;
import java.util.Arrays;

public class WithJsch {
    public static void main(String[] args) throws Exception {
        Session session = new JSch().getSession(args[1], "127.0.0.1", Integer.parseInt(args[0]));
        session.setPassword(args[2].getBytes("UTF-8"));
        session.setConfig("StrictHostKeyChecking", "no");
        session.setTimeout(30_000);
        session.connect(20_000);
        ChannelSftp sftp = (ChannelSftp) session.openChannel("sftp");
        sftp.connect(20_000);
        byte[] big = Files.readAllBytes(new File("grande.bin").toPath());
        sftp.put("grande.bin", "in/grande.part", ChannelSftp.OVERWRITE);
        sftp.get("in/grande.part", "indietro.bin");
        sftp.get("esiti/esito.bin", "esito.bin");
        // A transfer that stopped goes on where it was.
        sftp.put(new ByteArrayInputStream(Arrays.copyOf(big, big.length / 2)), "in/ripreso.part");
        sftp.put("grande.bin", "in/ripreso.part", ChannelSftp.RESUME);
        sftp.get("in/ripreso.part", "ripreso.bin");
        if (!Arrays.equals(big, Files.readAllBytes(new File("ripreso.bin").toPath()))) throw new Exception("resumed");
        sftp.put(new ByteArrayInputStream("abc".getBytes()), "in/breve.part", ChannelSftp.OVERWRITE);
        sftp.put(new ByteArrayInputStream("def".getBytes()), "in/breve.part", ChannelSftp.APPEND);
        if (sftp.stat("in/breve.part").getSize() != 6) throw new Exception("appended");
        sftp.setMtime("in/breve.part", 1_700_000_000);
        sftp.rename("in/breve.part", "in/altro.part");
        if (sftp.ls("in").size() < 3) throw new Exception("listing");
        for (String name : new String[] {"altro", "ripreso", "grande"}) sftp.rm("in/" + name + ".part");
        try {
            sftp.put("grande.bin", "esiti/no.bin");
            throw new Exception("esiti is read only");
        } catch (SftpException told) {
            System.out.println(told.getMessage());
        }
        sftp.put("lotto.zip", args[3]);
        sftp.stat(args[3]);
        session.disconnect();
    }
}
